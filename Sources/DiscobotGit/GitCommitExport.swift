// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Hands out the commits of a repository.
package struct GitCommitExport: Sendable {
    private let command: GitCommand

    /// - Parameter command: runs in the repository.
    package init(_ command: GitCommand) {
        self.command = command
    }

    /// Why there are no patches.
    package enum Refusal: Error, Sendable, Equatable {
        case notARepository, invalidParent, parentMismatch, noCommits
    }

    /// Commits as mails, oldest first, as `git am` takes them. What is no UTF-8 in them, empty commits and merges get
    /// lost; ``writePack(to:beyond:)`` loses nothing. Throws `Refusal` or ``GitError``.
    package func patches(after parent: String) async throws -> (text: String, count: Int) {
        guard case let size = parent.utf8.count, 4...64 ~= size, parent.allSatisfy({ $0.isASCII && $0.isHexDigit })
        else { throw Refusal.invalidParent }
        let inside = try await command.run(["rev-parse", "--git-dir"], acceptedExitCodes: [0, 128])
        guard inside.exitCode == 0 else { throw Refusal.notARepository }
        let exists = try await command.run(["cat-file", "-e", "\(parent)^{commit}"], acceptedExitCodes: [0, 1, 128])
        guard exists.exitCode == 0 else { throw Refusal.invalidParent }
        let isAncestor = try await command.run(
            ["merge-base", "--is-ancestor", parent, "HEAD"],
            acceptedExitCodes: [0, 1, 128]
        )
        guard isAncestor.exitCode == 0 else { throw Refusal.parentMismatch }
        let range = "\(parent)..HEAD"
        let count = Int(try await command.run(["rev-list", "--count", "--no-merges", range]).line) ?? 0
        guard count > 0 else { throw Refusal.noCommits }
        let patches = try await command.run(
            [
                "format-patch", "--stdout", "--binary", "--full-index", "--no-signature", "--no-cover-letter",
                "--no-attach", "--no-thread", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/",
                "--always", range,
            ],
            timeout: .seconds(300),
            outputLimit: 12 << 20
        )
        return (patches.text, count)
    }

    /// Writes a pack with the commits that lead to `HEAD` beyond those in `excluded` that the repository has. The objects
    /// of these are not in it. Nil for none. Throws ``GitError``.
    package func writePack(
        to file: FileDescriptor,
        beyond excluded: [String]
    ) async throws -> (head: String, count: Int)? {
        for commit in excluded { try GitRepository.check(commit) }
        let questions = (["HEAD^{commit}"] + excluded.map { "\($0)^{commit}" }).joined(separator: "\n") + "\n"
        let answers = try await command.run(
            ["cat-file", "--batch-check=%(objectname) %(objecttype)"],
            input: Array(questions.utf8)
        ).text.split(separator: "\n").map { $0.split(separator: " ") }
        guard let first = answers.first, first.last == "commit" else { return nil }
        let head = String(first[0])
        let known = answers.dropFirst().filter { $0.last == "commit" }.map { String($0[0]) }
        let count = Int(try await command.run(["rev-list", "--count", head, "--not"] + known).line) ?? 0
        guard count > 0 else { return nil }
        let revisions = ([head] + known.map { "^\($0)" }).joined(separator: "\n") + "\n"
        _ = try await command.run(
            [
                "-c", "pack.threads=1", "pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q",
            ],
            input: Array(revisions.utf8),
            files: .init(output: file),
            timeout: .seconds(600),
            outputLimit: GitQuarantine.Limit.pack
        )
        return (head, count)
    }
}
