// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The agents and tools that the server's user has installed, for the sandboxes to use: where they are looked for, and
/// the directories that they need, none of which holds a secret.
struct UserPrograms: Sendable, Equatable {
    static let wanted = [
        "claude", "codex", "gemini", "opencode", "aider", "vibe-acp", "kimi", "goose", "copilot", "cursor-agent",
        "node",
        "npm", "npx", "uv", "uvx", "bun", "cargo", "rustc", "go", "python3",
    ]
    private static let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// To be shown read-only where they are.
    private(set) var directories: [String] = []
    /// For the variable PATH.
    private(set) var searchPath: [String] = []
    private let home: String
    private let hidden: [String]

    /// - Parameters:
    ///   - searchPath: the user's PATH.
    ///   - extra: what the user wants to be shown besides.
    ///   - hidden: what is never shown besides places of keys, unless it is among `extra`.
    init(home: String, searchPath: String, extra: [String], hidden: [String] = []) {
        self.home = Self.resolved(home) ?? home
        let home = self.home
        // What holds the home directory would hide all programs in there.
        self.hidden = hidden.map { Self.resolved($0) ?? $0 }.filter { !(home + "/").hasPrefix($0 + "/") }
        for path in extra { add(extra: path) }
        var found: Set<String> = []
        for directory in searchPath.split(separator: ":").map(String.init) + Self.usualPlaces(home) {
            for name in Self.wanted where !found.contains(name) && add(name, in: directory) { found.insert(name) }
        }
        self.searchPath += Self.system
        directories = Self.outermost(directories)
    }

    /// Below a home directory.
    private static func usualPlaces(_ home: String) -> [String] {
        let fixed = [
            ".local/bin", ".npm-global/bin", ".bun/bin", ".volta/bin", ".cargo/bin", ".opencode/bin", ".deno/bin",
            "go/bin", ".pyenv/shims",
        ]
        return fixed.map { "\(home)/\($0)" } + newest(in: "\(home)/.nvm/versions/node").map { "\($0)/bin" }
    }

    /// The installed versions, the latest first.
    private static func newest(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var versions: [(name: String, numbers: [Int])] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix("v") {
                versions.append((name, name.dropFirst().split(separator: ".").map { Int($0) ?? 0 }))
            }
        }
        return versions.sorted { $1.numbers.lexicographicallyPrecedes($0.numbers) }.map { "\(directory)/\($0.name)" }
    }

    private mutating func add(extra path: String) {
        guard let path = Self.resolved(path), path != "/" else { return }
        directories.append(path)
        for directory in ["\(path)/bin", path] where Self.isDirectory(directory) { searchPath.append(directory) }
    }

    /// Whether the program is there and can be shown.
    private mutating func add(_ name: String, in directory: String) -> Bool {
        let path = "\(directory)/\(name)"
        guard directory.hasPrefix("/"), access(path, X_OK) == 0, !Self.isDirectory(path),
            let program = Self.resolved(path), let place = Self.resolved(directory)
        else { return false }
        let places = [place, directory]
        let needed = (places + Self.trees(of: program, home: home) + places.flatMap(Self.versions))
            .filter { !Self.isSystem($0) }
        guard needed.allSatisfy(mayBeShown) else { return false }
        directories += needed + companions(of: directory).filter { Self.isDirectory($0) }
        if !searchPath.contains(directory), !Self.system.contains(directory) { searchPath.append(directory) }
        return true
    }

    /// What a program needs beside itself: the package or version it is part of.
    private static func trees(of program: String, home: String) -> [String] {
        let parts = program.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if let index = parts.firstIndex(of: "node_modules") {
            let packages = parts[...index].joined(separator: "/")
            guard index >= 2, parts[index - 1] == "lib" else { return [packages] }
            // With the program that runs it, where that is installed beside.
            let programs = parts[..<(index - 1)].joined(separator: "/") + "/bin"
            return [packages] + (isDirectory(programs) ? [programs] : [])
        }
        let share = "\(home)/.local/share/"
        if program.hasPrefix(share) { return shared(program.dropFirst(share.count).split(separator: "/"), share) }
        if parts.dropLast().last == "bin", parts.count > 3 {
            let above = parts.dropLast(2).joined(separator: "/")
            // A version's own directory has its libraries too; that of Node.js also settings, with keys of registries.
            if isDirectory("\(above)/lib/node_modules") { return ["\(above)/bin", "\(above)/lib"] }
            if isDirectory("\(above)/lib"), above != "\(home)/.local" { return [above] }
        }
        return [parts.dropLast().joined(separator: "/")]
    }

    /// What the shims in a directory lead to, such as `~/.pyenv` of `~/.pyenv/shims`; without it they are dead ends.
    private static func versions(of directory: String) -> [String] {
        let parts = directory.split(separator: "/", omittingEmptySubsequences: false)
        return parts.last == "shims" ? [parts.dropLast().joined(separator: "/")] : []
    }

    /// Of `~/.local/share/claude/versions/1.2.3` the versions, of `~/.local/share/uv/tools/aider-chat/bin/aider` the
    /// tool: what is beside may be settings and keys.
    private static func shared(_ parts: [Substring], _ share: String) -> [String] {
        let isTool = parts.starts(with: ["uv", "tools"])
        let tree = share + parts.prefix(isTool ? 3 : 2).joined(separator: "/")
        let python = share + "uv/python"
        return [tree] + (isTool && isDirectory(python) ? [python] : [])
    }

    /// What programs of some places need besides.
    private func companions(of directory: String) -> [String] {
        switch directory {
        case "\(home)/.local/bin": ["\(home)/.local/lib"]
        case "\(home)/.cargo/bin": ["\(home)/.rustup"]
        case "\(home)/.volta/bin": ["\(home)/.volta/tools", "\(home)/.volta/bin"]
        default: []
        }
    }

    /// Not the home directory or what is above it, nor where programs keep keys and settings.
    private func mayBeShown(_ path: String) -> Bool {
        guard path != "/", !(home + "/").hasPrefix(path + "/") else { return false }
        let secret = [
            ".ssh", ".gnupg", ".aws", ".azure", ".config", ".docker", ".kube", ".claude", ".codex", ".gemini",
            ".local/share/keyrings", ".local/share/opencode", ".local/share/uv/credentials", ".mozilla", ".npmrc",
            ".netrc",
            ".git-credentials",
        ]
        return (secret.map { "\(home)/\($0)" } + hidden).allSatisfy { place in
            !(path + "/").hasPrefix(place + "/") && !(place + "/").hasPrefix(path + "/")
        }
    }

    private static func isSystem(_ path: String) -> Bool {
        ["/usr", "/opt", "/bin", "/sbin", "/lib", "/lib64"].contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Without those that lie in another one, as bubblewrap shows directories with all that they hold.
    private static func outermost(_ paths: [String]) -> [String] {
        var result: [String] = []
        for path in paths.sorted() where !result.contains(where: { path == $0 || path.hasPrefix($0 + "/") }) {
            result.append(path)
        }
        return result
    }
}
