// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// Adds changes, deletions included, to the index; an empty list adds everything.
    /// Throws `.notFound` for a path git does not know, `.invalidArgument` for an ignored one.
    package func stage(_ paths: [String]) async throws {
        guard !paths.isEmpty else {
            _ = try await command.run(["add", "--all", "--", "."], timeout: .seconds(300))
            return
        }
        let names = try paths.map { try GitPath($0).string }
        // By standard input: the list may be longer than a command line.
        _ = try await command.run(
            ["add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"],
            input: Array(names.joined(separator: "\0").utf8),
            timeout: .seconds(300)
        )
    }

    /// Commits the index. Without `author` the configured identity is used, or ``GitIdentity/discobot``.
    /// Throws `.conflict` when there is nothing to commit or a merge is not resolved.
    package func commit(message: String, author: GitIdentity? = nil) async throws -> GitCommit {
        guard !message.trimmed.isEmpty else { throw GitError(.invalidArgument, "the commit message is empty") }
        guard !message.utf8.contains(0), message.utf8.count <= 1 << 20 else {
            throw GitError(.invalidArgument, "the commit message contains a NUL character or is too long")
        }
        let output = try await command.run(
            ["commit", "--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace", "--file=-"],
            input: Array(message.utf8),
            variables: try await identityVariables(author: author),
            acceptedExitCodes: [0, 1]
        )
        guard output.exitCode == 0 else { throw GitError(.conflict, "nothing to commit") }
        guard let commit = try await log(ref: "HEAD", limit: 1).first else {
            throw GitError(.failed, "the new commit cannot be read")
        }
        return commit
    }

    /// At most `limit` (1 to 10,000) commits reachable from `ref`, newest first; none before the first commit.
    package func log(ref: String = "HEAD", limit: Int = 50, skip: Int = 0) async throws -> [GitCommit] {
        guard let commit = try await resolveUnlessUnborn(ref) else { return [] }
        let output = try await command.run([
            "log", "-z", "--format=\(GitCommit.format)", "--encoding=UTF-8", "--no-color", "--no-patch",
            "--no-show-signature", "--no-notes",
            "--max-count=\(min(max(limit, 1), 10_000))", "--skip=\(max(skip, 0))", commit, "--",
        ])
        return GitCommit.parse(output.bytes)
    }

    /// The configured user, of the repository first and then of the user of the server; empty strings when unset.
    package func identity() async throws -> GitIdentity {
        try await Self.identity(command)
    }

    /// The configured user of the repository at `directory`, as ``identity()``.
    package static func identity(in directory: String) async throws -> GitIdentity {
        try await identity(GitCommand(directory: directory))
    }

    /// Who commits in the repository: the configured user, or ``GitIdentity/discobot``.
    package func committer() async throws -> GitIdentity {
        try await Self.committer(command)
    }

    /// As ``committer()``, of the repository that `command` runs in.
    package static func committer(_ command: GitCommand) async throws -> GitIdentity {
        let configured = try await identity(command)
        return configured.name.isEmpty || configured.email.isEmpty ? .discobot : configured
    }

    private static func identity(_ command: GitCommand) async throws -> GitIdentity {
        // Exit code 1 says that nothing matches. The last value of a name wins.
        let output = try await command.run(
            ["config", "--null", "--get-regexp", "^user\\.(name|email)$"],
            acceptedExitCodes: [0, 1]
        )
        var values: [Substring: Substring] = [:]
        for field in NULFields(output.bytes).map(\.text) {
            let parts = field.split(separator: "\n", maxSplits: 1)
            if let name = parts.first { values[name] = parts.dropFirst().first ?? "" }
        }
        return GitIdentity(name: String(values["user.name"] ?? ""), email: String(values["user.email"] ?? ""))
    }

    private func identityVariables(author: GitIdentity?) async throws -> [String: String] {
        let configured = try await identity()
        let isComplete = !configured.name.isEmpty && !configured.email.isEmpty
        let own = isComplete ? [:] : GitIdentity.discobot.variables
        guard let author else { return own }
        return own.merging(try author.checked().authorVariables) { _, author in author }
    }
}

extension GitIdentity {
    var authorVariables: [String: String] { ["GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email] }
    /// For the author and the committer.
    var variables: [String: String] {
        authorVariables.merging(["GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email]) { own, _ in own }
    }

    /// Throws `.invalidArgument` for what git would refuse or silently drop.
    fileprivate func checked() throws(GitError) -> GitIdentity {
        for text in [name, email] {
            let isPlain = text.unicodeScalars.allSatisfy {
                $0.properties.generalCategory != .control && !"<>".unicodeScalars.contains($0)
            }
            guard isPlain, text.contains(where: \.isLetter), text.utf8.count <= 1_024 else {
                throw GitError(.invalidArgument, "the name or e-mail address of the author is not valid")
            }
        }
        return self
    }
}

extension GitCommit {
    static let shortLength = 7
    /// Separated by NUL, the one byte none of the fields can contain.
    static let format = ["%H", "%P", "%an", "%ae", "%aI", "%cn", "%cI", "%s"].joined(separator: "%x00")

    /// Parses the output of `git log -z` in ``format``.
    static func parse(_ bytes: [UInt8]) -> [GitCommit] {
        var fields = NULFields(bytes).makeIterator()
        var commits: [GitCommit] = []
        while let commit = next(in: &fields) { commits.append(commit) }
        return commits
    }

    private static func next(in fields: inout NULFields) -> GitCommit? {
        let values = (0..<8).compactMap { _ in fields.next()?.text }
        guard values.count == 8 else { return nil }
        return GitCommit(
            sha: values[0],
            shortSha: String(values[0].prefix(shortLength)),
            message: values[7],
            author: values[2],
            authorEmail: values[3],
            authorDate: values[4],
            committer: values[5],
            commitDate: values[6],
            parents: values[1].split(separator: " ").map(String.init)
        )
    }
}
