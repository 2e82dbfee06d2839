// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Brings commits from a quarantine into a repository, and its branch and working tree to them.
///
/// Until ``advance(_:)`` only objects and hidden refs are added. That is one git process, which refuses before it changes
/// anything, and outlives a killed server. What a killed git leaves half done is found and undone by ``settle(_:)``.
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
    private var gitDirectory: String { repository.isBare ? repository.directory : repository.directory + "/.git" }
    private var marked: MarkedProcesses { MarkedProcesses("DISCOBOT_LANDING", repository.directory) }

    /// Copies commits out of a quarantine and has refs below `refs/discobot/` keep them.
    package func adopt(_ commits: [(commit: String, ref: String)], from quarantine: GitQuarantine) async throws {
        try await quarantine.release(commits, to: command)
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
        let changed = try await changes(of: step)
        _ = try await run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
        let edited = try await names(["diff-files", "--name-only", "-z"])
        let staged = try await names(["diff-index", "--cached", "--name-only", "-z", step.from])
        let found = changed.compactMap { path, isOld -> GitConflict? in
            let name = String(decoding: path, as: UTF8.self)
            if edited.contains(path) || staged.contains(path) {
                return GitConflict(path: name, reason: "has changes in the workspace that are not committed")
            }
            guard !isOld, exists(path) else { return nil }
            return GitConflict(path: name, reason: "is in the workspace already, and git does not track it there")
        }
        return found.sorted { $0.path < $1.path }
    }

    /// Moves the branch and the working tree. Local changes stay, and are a `.conflict` where they are in the way, as is
    /// a branch that has moved meanwhile: then nothing has changed.
    package func advance(_ step: Step) async throws {
        guard !repository.isBare else {
            _ = try await command.run(["update-ref", "-m", Self.reason, "HEAD", step.to, step.from])
            return
        }
        try checkIdle()
        guard try await repository.headCommit() == step.from else { throw Self.moved }
        do {
            _ = try await run([
                "merge", "--quiet", "--ff-only", "--no-autostash", "--no-stat", "--no-verify-signatures", step.to,
            ])
        } catch let error as GitError where !Self.hasChangedNothing(error) {
            // Locks that are there now are those of a git that lives.
            let hasLanded = try await settle(step, removesLocks: false)
            guard !hasLanded else { return }
            throw try await repository.headCommit() == step.from ? error : Self.moved
        }
    }

    private static func hasChangedNothing(_ error: GitError) -> Bool {
        error.message.contains("would be overwritten by") || error.message.contains("/index.lock': File exists")
    }

    private static let reason = "discobot: commits of a session"
    private static let moved = GitError(.conflict, "the workspace's branch has just moved")

    private func checkIdle() throws(GitError) {
        try GitRepository.checkIdle(gitDirectory, of: "the workspace")
    }

    /// Marked, so that it is found when its server is killed.
    private func run(
        _ arguments: [String],
        input: [UInt8] = [],
        index: String? = nil,
        acceptedExitCodes: Set<Int32> = [0]
    ) async throws -> GitOutput {
        // LFS would fetch what the session's own settings name, with this machine's credentials: pointers stay pointers.
        var variables = marked.mark.merging(["GIT_REFLOG_ACTION": Self.reason, "GIT_LFS_SKIP_SMUDGE": "1"]) { $1 }
        variables["GIT_INDEX_FILE"] = index
        return try await command.run(
            ["-c", "checkout.workers=1"] + arguments,
            input: input,
            variables: variables,
            timeout: .seconds(600),
            acceptedExitCodes: acceptedExitCodes
        )
    }
}

// MARK: - After a kill

extension GitLanding {
    /// Finds out what became of an ``advance(_:)`` that nobody saw the end of: true when it is done. Otherwise everything
    /// is as it was before it, also where git was killed in the middle.
    ///
    /// - Parameter removesLocks: whether locks that nobody works under may be those of a git that was killed.
    package func settle(_ step: Step, removesLocks: Bool = true) async throws -> Bool {
        try await marked.waitForEnd(patience: .seconds(120))
        if removesLocks { try await removeStaleLocks() }
        if try await hasReached(step.to) { return true }
        guard !repository.isBare, try await !known([step.to]).isEmpty else { return false }
        let changed = try await changes(of: step)
        let missing = try await names(["diff-index", "--cached", "--name-only", "-z", step.to])
        if !changed.isEmpty, missing.isDisjoint(with: changed.keys) {
            // Only the branch is left; the index is written when all files are.
            try await finish(step)
            return try await hasReached(step.to)
        }
        try await undo(step, changed)
        return false
    }

    private func hasReached(_ commit: String) async throws -> Bool {
        try await command.run(["merge-base", "--is-ancestor", commit, "HEAD"], acceptedExitCodes: [0, 1, 128]).exitCode
            == 0
    }

    private func finish(_ step: Step) async throws {
        do {
            _ = try await run(["update-ref", "-m", Self.reason, "HEAD", step.to, step.from])
        } catch is GitError {
            // The branch has moved meanwhile.
            _ = try await run(["read-tree", "-m", "-u", step.to, step.from])
        }
    }

    /// Whether each changed path is in the older commit.
    private func changes(of step: Step) async throws -> [[UInt8]: Bool] {
        var fields = NULFields(
            try await command.run(["diff-tree", "-r", "--no-renames", "--name-status", "-z", step.from, step.to]).bytes
        )
        var changes: [[UInt8]: Bool] = [:]
        while let status = fields.next(), let path = fields.next() {
            changes[Array(path)] = status.first != UInt8(ascii: "A")
        }
        return changes
    }

    private func names(_ arguments: [String], index: String? = nil) async throws -> Set<[UInt8]> {
        Set(NULFields(try await run(arguments, index: index).bytes).map { Array($0) })
    }

    /// Brings files back that git has written or removed. Those are the ones that are as in the newer commit, or the
    /// beginning of that, or gone: before it began they were as in the index, so nobody's work is lost.
    private func undo(_ step: Step, _ changed: [[UInt8]: Bool]) async throws {
        _ = try await run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
        let differing = try await names(["diff-files", "--name-only", "-z"]).intersection(changed.keys)
        let added = changed.filter { !$0.value && exists($0.key) }.keys
        let touched = differing.union(added)
        guard !touched.isEmpty else { return }
        let unlike = try await unlikeNewer(step)
        var restored: [[UInt8]] = []
        for path in touched {
            if unlike.contains(path), exists(path), try await !isBeginning(path, of: step.to) { continue }
            if changed[path] == true {
                restored.append(path)
            } else if let name = String(validating: path, as: UTF8.self) {
                _ = try? WorkingDirectory(repository.directory).remove(name)
            }
        }
        guard !restored.isEmpty else { return }
        _ = try await run(["checkout-index", "--force", "-z", "--stdin"], input: restored.flatMap { $0 + [0] })
    }

    /// Which files of the working tree are not as in the newer commit.
    private func unlikeNewer(_ step: Step) async throws -> Set<[UInt8]> {
        let index = "\(gitDirectory)/discobot.\(UUID().uuidString).index"
        defer { unlink(index) }
        _ = try await run(["read-tree", step.to], index: index)
        _ = try await run(["update-index", "-q", "--refresh"], index: index, acceptedExitCodes: [0, 1])
        return try await names(["diff-files", "--name-only", "-z"], index: index)
    }

    /// What a git that is killed while it writes leaves.
    private func isBeginning(_ path: [UInt8], of commit: String) async throws -> Bool {
        guard let name = String(validating: path, as: UTF8.self),
            let found = try? WorkingDirectory(repository.directory, fileLimit: 256 << 20).read(name)
        else { return false }
        let whole = try await command.run(
            ["cat-file", "--filters", "\(commit):\(name)"],
            variables: ["GIT_LFS_SKIP_SMUDGE": "1"],
            outputLimit: 256 << 20,
            acceptedExitCodes: [0, 128]
        )
        return whole.exitCode == 0 && whole.bytes.starts(with: found)
    }

    private func exists(_ path: [UInt8]) -> Bool {
        GitRepository.exists(path, in: repository.directory)
    }

    /// Locks that stay for so long after the git that took them are nobody's.
    private func removeStaleLocks() async throws {
        let branch = try await command.run(["symbolic-ref", "-q", "HEAD"], acceptedExitCodes: [0, 1]).line
        let locks = ["index", "HEAD", "ORIG_HEAD", branch].filter { !$0.isEmpty }.map { "\(gitDirectory)/\($0).lock" }
        let before = locks.compactMap { path in Self.identity(of: path).map { (path, $0) } }
        guard !before.isEmpty else { return }
        try await Task.sleep(for: .seconds(3))
        for (path, identity) in before where Self.identity(of: path) == identity { unlink(path) }
    }

    private static func identity(of path: String) -> [Int]? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return [Int(status.st_ino), Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec)]
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

    /// Whether there is anything at a path, a symbolic link included.
    static func exists(_ path: [UInt8], in directory: String) -> Bool {
        var status = stat()
        return (Array("\(directory)/".utf8) + path + [0]).withUnsafeBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { lstat($0, &status) == 0 } ?? false }
        }
    }
}
