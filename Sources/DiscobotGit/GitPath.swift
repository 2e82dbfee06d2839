// SPDX-License-Identifier: Apache-2.0

/// A path in a repository as given by a user: relative, free of `..`, and never inside `.git`.
struct GitPath: Equatable, Sendable {
    /// At least one, unless it is a directory's path.
    let components: [String]

    var string: String { components.joined(separator: "/") }

    /// Drops `.` and doubled slashes. Throws `.invalidArgument` with the reason.
    init(_ text: String) throws(GitError) {
        try self.init(directory: text)
        guard !components.isEmpty else { throw GitError(.invalidArgument, "the path is empty: \(text)") }
    }

    /// The same, but `.` is allowed and has no components.
    init(directory text: String) throws(GitError) {
        guard !text.isEmpty else { throw GitError(.invalidArgument, "the path is empty") }
        guard !text.utf8.contains(0) else { throw GitError(.invalidArgument, "the path contains a NUL character") }
        guard text.utf8.count <= 4_096 else { throw GitError(.invalidArgument, "the path is too long") }
        guard !text.isAbsolutePath else {
            throw GitError(.invalidArgument, "the path must be relative: \(text)")
        }
        components = Self.components(of: text)
        guard !components.contains("..") else { throw Self.leaving(text) }
        guard !components.contains(where: Self.isInternal) else { throw Self.insideGit(text) }
    }

    /// Splits bytes, not characters: a combining mark behind a slash would hide it.
    static func components(of text: String) -> [String] {
        text.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }.filter { $0 != "." }
    }

    /// Whether git keeps its own files under this name, also where the file system ignores case.
    static func isInternal(_ component: String) -> Bool {
        component.lowercased() == ".git"
    }

    static func leaving(_ text: String) -> GitError {
        GitError(.invalidArgument, "path leaves the repository: \(text)")
    }

    static func insideGit(_ text: String) -> GitError {
        GitError(.invalidArgument, "path is inside .git: \(text)")
    }
}

extension String {
    /// By its first byte: a combining mark behind the slash makes it another character, but not for the system.
    var isAbsolutePath: Bool { utf8.first == UInt8(ascii: "/") }
}
