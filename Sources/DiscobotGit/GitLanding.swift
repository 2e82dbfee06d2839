// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// Brings commits from a quarantine into a repository, and its branch and working tree to them.
///
/// Until ``advance(_:)`` only objects are added, and the caller's hidden refs. That is one git process, which refuses
/// before it changes anything, and outlives a killed server. What a killed git leaves half done is found and undone by
/// ``settle(_:removesLocks:)``.
package struct GitLanding: Sendable {
    /// From which commit to which.
    package struct Step: Sendable, Equatable {
        package let from: String
        package let to: String

        package init(from: String, to: String) {
            self.from = from
            self.to = to
        }
    }

    let repository: GitRepository

    package init(_ repository: GitRepository) {
        self.repository = repository
    }

    private var command: GitCommand { repository.command }
    private var marked: MarkedProcesses { MarkedProcesses("DISCOBOT_LANDING", repository.directory) }

    /// What is thrown when it is not known how far a step has come, or that could not be undone.
    package struct Unsettled: Error, CustomStringConvertible {
        package let cause: any Error

        package var description: String {
            "commits of a session are on their way into the workspace, and cannot be finished or undone now: \(cause)"
        }
    }

    /// Copies commits out of a quarantine. Git removes them in two weeks unless a ref keeps them.
    package func adopt(_ commits: [String], from quarantine: GitQuarantine) async throws {
        try await quarantine.release(commits.map { ($0, nil) }, to: command)
    }

    /// Which of the commits the repository has.
    package func known(_ commits: [String]) async throws -> [String] {
        let input = commits.joined(separator: "\n") + "\n"
        let lines = try await command.run(["cat-file", "--batch-check=%(objecttype)"], input: Array(input.utf8)).text
            .split(separator: "\n")
        return zip(commits, lines).filter { $0.1 == "commit" }.map(\.0)
    }

    /// The local changes that are in the way, file by file: git alone would also write over files that it ignores.
    package func obstacles(to step: Step) async throws -> [GitConflict] {
        guard !repository.isBare else { return [] }
        try checkIdle()
        let change = change(of: step)
        let paths = try await change.paths()
        _ = try await run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
        let edited = try await names(["diff-files", "--name-only", "-z"])
        let staged = try await names(["diff-index", "--cached", "--name-only", "-z", step.from])
        let changed = edited.union(staged).intersection(paths.keys)
        let untracked = Set(change.untracked(among: paths)).subtracting(changed)
        let found =
            changed.map {
                GitConflict(path: $0[...].text, reason: "has changes in the workspace that are not committed")
            }
            + untracked.map {
                GitConflict(path: $0[...].text, reason: "is in the workspace already, and git does not track it there")
            }
        return found.sorted { $0.path < $1.path }
    }

    /// Moves the branch and the working tree. Local changes stay, and are a `.conflict` where they are in the way, as is
    /// a branch that has moved meanwhile.
    ///
    /// When this throws, nothing has changed, unless it throws ``Unsettled``.
    package func advance(_ step: Step) async throws {
        try checkIdle()
        guard try await repository.headCommit() == step.from else { throw Self.moved }
        do {
            _ = try await run(
                repository.isBare
                    ? Self.branchMove(step)
                    : [
                        "merge", "--quiet", "--ff-only", "--no-autostash", "--no-stat", "--no-verify-signatures",
                        step.to,
                    ]
            )
        } catch let error where !Self.hasChangedNothing(error) {
            // Locks that are there now are those of a git that lives.
            guard try await !settle(step, removesLocks: false) else { return }
            guard try await repository.headCommit() == step.from else { throw Self.moved }
            throw error
        }
    }

    private static func hasChangedNothing(_ error: any Error) -> Bool {
        guard let error = error as? GitError else { return false }
        return error.message.contains("would be overwritten by") || error.message.contains("/index.lock': File exists")
    }

    private static func branchMove(_ step: Step) -> [String] {
        ["update-ref", "-m", reason, "HEAD", step.to, step.from]
    }

    private static let reason = "discobot: commits of a session"
    private static let moved = GitError(.conflict, "the workspace's branch has just moved")

    private func checkIdle() throws(GitError) {
        try GitRepository.checkIdle(repository.gitDirectory, of: "the workspace")
    }

    private func change(of step: Step) -> TreeChange {
        TreeChange(
            GitCommand(directory: command.directory, environment: command.environment.adding(variables)),
            directory: repository.directory,
            gitDirectory: repository.gitDirectory,
            from: step.from,
            to: step.to
        )
    }

    private func names(_ arguments: [String]) async throws -> Set<[UInt8]> {
        Set(NULFields(try await run(arguments).bytes).map { Array($0) })
    }

    /// Of processes that change the workspace: marked, so that they are found when their server is killed.
    private var variables: [String: String] {
        // LFS would fetch what the session's own settings name, with this machine's credentials: pointers stay pointers.
        marked.mark.merging(["GIT_REFLOG_ACTION": Self.reason, "GIT_LFS_SKIP_SMUDGE": "1"]) { $1 }
    }

    private func run(_ arguments: [String], acceptedExitCodes: Set<Int32> = [0]) async throws -> GitOutput {
        try await command.run(
            ["-c", "checkout.workers=1"] + arguments,
            variables: variables,
            timeout: .seconds(600),
            acceptedExitCodes: acceptedExitCodes
        )
    }
}

// MARK: - After a kill

extension GitLanding {
    /// Finds out what became of an ``advance(_:)`` that nobody saw the end of: true when it is done. Otherwise everything
    /// is as it was before it, also where git was killed in the middle. Throws ``Unsettled``, and may be tried again.
    ///
    /// - Parameter removesLocks: whether locks that nobody works under may be those of a git that was killed.
    package func settle(_ step: Step, removesLocks: Bool = true) async throws -> Bool {
        do {
            try await marked.waitForEnd(patience: .seconds(120))
            if removesLocks { try await StaleLocks(repository.command).remove() }
            return try await hasLanded(step)
        } catch {
            throw Unsettled(cause: error)
        }
    }

    private func hasLanded(_ step: Step) async throws -> Bool {
        // Without the commit nothing has begun.
        guard try await !known([step.to]).isEmpty else { return false }
        if try await hasReached(step.to) { return true }
        guard !repository.isBare else { return false }
        let change = change(of: step)
        let paths = try await change.paths()
        if try await change.hasReachedIndex(paths) {
            // Only the branch is left; the index is written when all files are.
            try await finish(step)
            return try await hasReached(step.to)
        }
        try await change.undo(paths)
        return false
    }

    private func hasReached(_ commit: String) async throws -> Bool {
        guard let head = try await repository.headCommit() else { return false }
        return try await command.run(["merge-base", "--is-ancestor", commit, head], acceptedExitCodes: [0, 1]).exitCode
            == 0
    }

    private func finish(_ step: Step) async throws {
        do {
            _ = try await run(Self.branchMove(step))
        } catch let error as GitError {
            // Unless the branch has moved meanwhile.
            guard try await repository.headCommit() != step.from else { throw error }
            _ = try await run(["read-tree", "-m", "-u", step.to, step.from])
        }
    }
}

extension GitRepository {
    /// Nobody's half finished merge is built upon. Throws `.conflict`.
    static func checkIdle(_ gitDirectory: String, of what: String) throws(GitError) {
        let signs = [
            ("MERGE_HEAD", "a merge"), ("CHERRY_PICK_HEAD", "a cherry-pick"), ("REVERT_HEAD", "a revert"),
            ("rebase-merge", "a rebase"), ("rebase-apply", "a rebase"),
        ]
        for (name, work) in signs where FileManager.default.fileExists(atPath: "\(gitDirectory)/\(name)") {
            throw GitError(.conflict, "\(what) is in the middle of \(work): finish or abort it first")
        }
    }
}
