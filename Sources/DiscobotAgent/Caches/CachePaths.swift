// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The directories of the home that the sandboxes of a project share: those of well-known tools, and those that the
/// workspace's `.discobot/cache.json` adds.
struct CachePaths: Sendable, Equatable {
    /// Why something of the file is left out.
    struct Refusal: Sendable, Equatable {
        let path: String
        let reason: String
    }

    /// Where package managers keep what they can fetch again. Tokens that a tool keeps in there by itself are led
    /// elsewhere by the sandbox's variables.
    static let wellKnown = [
        ".bun/install/cache", ".cache", ".cargo/git", ".cargo/registry", ".gradle/caches", ".gradle/wrapper",
        ".ivy2/cache", ".local/share/pnpm/store", ".m2/repository", ".npm", ".nuget/packages", ".pnpm-store", ".yarn",
        "go/pkg/mod",
    ]

    /// Where tools keep logins, which are the session's own.
    private static let personal = [
        ".aws", ".azure", ".claude", ".claude.json", ".codex", ".config", ".copilot", ".docker", ".gemini",
        ".git-credentials", ".gitconfig", ".gnupg", ".kube", ".local/share/keyrings", ".local/share/opencode", ".netrc",
        ".npmrc", ".password-store", ".pypirc", ".ssh", ".vibe", ".cargo/credentials.toml", ".gradle/gradle.properties",
        ".m2/settings.xml",
    ]

    /// How the original's images name the home; such files exist in repositories.
    private static let usualHome = "/home/discobot"
    private static let maximumCount = 100
    private static let maximumBytes = 1024

    /// Relative to the home, and none below another.
    let paths: [String]
    let refusals: [Refusal]

    /// - Parameters:
    ///   - file: the text of `.discobot/cache.json`; nil when there is none.
    ///   - home: the home directory, which the paths of the file must be below.
    init(file: Data?, home: String) {
        var accepted = Self.wellKnown
        var refusals: [Refusal] = []
        for path in Self.additional(file, &refusals) {
            switch Self.relative(path, home) {
            case .success(let relative): accepted.append(relative)
            case .failure(let error): refusals.append(Refusal(path: String(path.prefix(200)), reason: error.reason))
            }
        }
        // The directory above comes first, and stands for what is in it.
        paths = Set(accepted).sorted { $0.utf8.count < $1.utf8.count }.reduce(into: []) { kept, path in
            if !kept.contains(where: { path.hasPrefix($0 + "/") }) { kept.append(path) }
        }.sorted()
        self.refusals = refusals
    }

    private struct File: Decodable {
        let additionalPaths: [String]?
    }

    private static func additional(_ file: Data?, _ refusals: inout [Refusal]) -> [String] {
        guard let file else { return [] }
        guard let paths = try? JSONDecoder().decode(File.self, from: file).additionalPaths ?? [] else {
            refusals.append(Refusal(path: "", reason: "the file is no JSON object with a list additionalPaths"))
            return []
        }
        if paths.count > maximumCount {
            refusals.append(Refusal(path: "", reason: "there are more than \(maximumCount) paths"))
        }
        return Array(paths.prefix(maximumCount))
    }

    private struct Unfit: Error {
        let reason: String
    }

    private static func relative(_ path: String, _ home: String) -> Result<String, Unfit> {
        guard path.utf8.count <= maximumBytes, path.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) else {
            return .failure(Unfit(reason: "is too long, or has control characters"))
        }
        guard let above = ["~", home, usualHome].first(where: { path == $0 || path.hasPrefix($0 + "/") }) else {
            return .failure(Unfit(reason: "is not below the home directory"))
        }
        let components = path.dropFirst(above.count).split(separator: "/").filter { $0 != "." }
        guard !components.contains("..") else { return .failure(Unfit(reason: "has ..")) }
        guard !components.isEmpty else { return .failure(Unfit(reason: "is the home directory itself")) }
        let relative = components.joined(separator: "/")
        let isPersonal = personal.contains { place in
            relative == place || relative.hasPrefix(place + "/") || place.hasPrefix(relative + "/")
        }
        guard !isPersonal else { return .failure(Unfit(reason: "is where logins are kept")) }
        return .success(relative)
    }
}
