// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// The full sha of `HEAD`, nil before the first commit.
    package func headCommit() async throws -> String? {
        do {
            return try await resolve("HEAD")
        } catch let error as GitError where error.code == .notFound {
            return nil
        }
    }

    /// The full sha of the commit `ref` names: a branch, a tag, a sha, or an expression such as `HEAD~2`.
    /// Throws `.notFound`, or `.invalidArgument` for what can only be an attack or a mistake.
    package func resolve(_ ref: String) async throws -> String {
        try Self.check(ref)
        let output = try await command.run(
            ["rev-parse", "--verify", "--quiet", "--end-of-options", "\(ref)^{commit}"],
            acceptedExitCodes: [0, 1, 128]
        )
        guard output.exitCode == 0 else {
            // Also to tell an unknown name from a broken repository.
            _ = try await command.run(["rev-parse", "--git-dir"])
            throw GitError(.notFound, "unknown revision: \(ref)")
        }
        return output.line
    }

    /// Switches to a branch, or detaches at a commit. The name of a remote branch creates the local one.
    /// Throws `.notFound`, or `.conflict` when local changes would be lost.
    package func checkout(_ ref: String) async throws {
        try Self.check(ref)
        _ = try await command.run(["checkout", "--quiet", ref, "--"], timeout: .seconds(300))
    }

    /// Fetches all remotes and forgets the remote branches that are gone.
    package func fetch() async throws {
        do {
            _ = try await command.run(["fetch", "--all", "--prune", "--quiet"], timeout: .seconds(600))
        } catch let error as GitError where error.code == .notFound {
            // It is the remote that is not found, and nothing that the caller has named.
            throw GitError(.failed, error.message)
        }
    }

    /// Makes `ref`, a full name below `refs/`, name `commit`, which git then keeps.
    package func setRef(_ ref: String, to commit: String) async throws {
        try Self.check(ref)
        _ = try await command.run(["update-ref", ref, commit])
    }

    /// Removes a full name below `refs/`; nothing happens when there is none.
    package func removeRef(_ ref: String) async throws {
        try Self.check(ref)
        _ = try await command.run(["update-ref", "-d", ref])
    }

    /// Local branches, then remote ones, both by name.
    package func branches() async throws -> [GitBranch] {
        let fields = ["refname", "objectname", "HEAD", "upstream"].map { "%(\($0))" }.joined(separator: "%00")
        let output = try await command.run(["for-each-ref", "--format=\(fields)", "refs/heads", "refs/remotes"])
        return output.text.split(separator: "\n").compactMap { GitBranch(record: $0) }
    }

    static func check(_ ref: String) throws(GitError) {
        guard !ref.isEmpty else { throw GitError(.invalidArgument, "the revision is empty") }
        let isPlain = ref.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        guard isPlain, ref.utf8.first != UInt8(ascii: "-"), ref.utf8.count <= 1_024 else {
            throw GitError(.invalidArgument, "not a valid revision: \(ref)")
        }
    }
}

extension GitBranch {
    /// Parses a line of `for-each-ref`; nil for `origin/HEAD`, which only points to another branch.
    fileprivate init?(record: Substring) {
        let fields = record.split(separator: "\0", omittingEmptySubsequences: false)
        guard fields.count == 4 else { return nil }
        let isRemote = fields[0].utf8.starts(with: Self.remotePrefix.utf8)
        guard !(isRemote && fields[0].hasSuffix("/HEAD")) else { return nil }
        self.init(
            name: Self.shortName(fields[0]),
            isRemote: isRemote,
            isCurrent: fields[2] == "*",
            commit: String(fields[1]),
            upstream: Self.shortName(fields[3])
        )
    }

    private static let localPrefix = "refs/heads/"
    private static let remotePrefix = "refs/remotes/"

    private static func shortName(_ ref: Substring) -> String {
        let prefix = [localPrefix, remotePrefix].first { ref.utf8.starts(with: $0.utf8) } ?? ""
        return String(decoding: ref.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}
