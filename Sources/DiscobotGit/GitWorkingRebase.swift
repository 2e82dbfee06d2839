// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Puts the commits of a working copy, and its changes that are not committed, on top of another commit.
///
/// Everything is worked out in a quarantine first; the working copy changes when all of it fits, and stays as it is
/// otherwise. Changes come back without being staged. What is about to change is written down, so that ``settle()`` can
/// finish or undo it after a kill.
package struct GitWorkingRebase: Sendable {
    private let command: GitCommand
    private let directory: String
    private let scratch: String

    /// - Parameters:
    ///   - command: runs in the top directory of the working copy.
    ///   - scratch: a path for what is needed meanwhile.
    package init(_ command: GitCommand, directory: String, scratch: String) {
        self.command = command
        self.directory = directory
        self.scratch = scratch
    }

    package enum Outcome: Sendable, Equatable {
        /// The commit of the working copy now.
        case done(head: String)
        /// `subject` is of the commit that does not fit; nil for changes that are not committed.
        case conflicts(subject: String?, [GitConflict])
    }

    /// What the working copy is, and what it is to be.
    private struct Move: Codable {
        let head: String
        /// The tree of the files with their changes.
        let tree: String
        var newHead: String
        var newTree: String
        var hasEdits = false
    }

    /// - Parameter landed: commits of the working copy that `target` has already, in whatever form.
    package func run(onto target: String, landed: [String], committer: GitIdentity) async throws -> Outcome {
        try await settle(removesLocks: false)
        try GitRepository.checkIdle(gitDirectory, of: "the session")
        let head = try await commit("HEAD", "the session has no commit yet")
        let target = try await commit(target, "the session does not have the workspace's commit \(target.prefix(12))")
        let tree = try await editedTree()
        let quarantine = try await GitQuarantine.make(at: scratch, for: command, committer: committer)
        defer { quarantine.discard() }
        let known = try await known(landed)
        var move = Move(head: head, tree: tree, newHead: target, newTree: "")
        if let range = try await quarantine.commits(to: head, beyond: [target] + known) {
            switch try await quarantine.replay(range, onto: target) {
            case .moved(let moved): move.newHead = moved
            case .conflicts(let subject, let conflicts): return .conflicts(subject: subject, conflicts)
            }
        }
        guard move.newHead != head else { return .done(head: head) }
        if let conflicts = try await replayEdits(&move, in: quarantine) {
            return .conflicts(subject: nil, conflicts)
        }
        return try await carryOut(move)
    }

    private func commit(_ name: String, _ refusal: String) async throws -> String {
        try GitRepository.check(name)
        let output = try await command.run(
            ["rev-parse", "-q", "--verify", "--end-of-options", "\(name)^{commit}"],
            acceptedExitCodes: [0, 1, 128]
        )
        guard output.exitCode == 0 else { throw GitError(.conflict, refusal) }
        return output.line
    }

    private func known(_ commits: [String]) async throws -> [String] {
        var known: [String] = []
        for commit in commits {
            try GitRepository.check(commit)
            let output = try await command.run(
                ["cat-file", "-e", "\(commit)^{commit}"],
                acceptedExitCodes: [0, 1, 128]
            )
            if output.exitCode == 0 { known.append(commit) }
        }
        return known
    }

    private var gitDirectory: String { "\(directory)/.git" }
    private var index: String { "\(gitDirectory)/index" }
    private var spareIndex: String { scratch + ".index" }
    private var record: String { scratch + ".move" }
    private static let ref = "refs/discobot/rebase"
    private static let refs = [ref, ref + "-head"]

    /// Of all files that git knows, as they are.
    private func editedTree() async throws -> String {
        defer { removeSpareIndex() }
        try copyIndex(index, spareIndex)
        let variables = ["GIT_INDEX_FILE": spareIndex]
        _ = try await command.run(["add", "--update", "--", "."], variables: variables, timeout: .seconds(300))
        return try await command.run(["write-tree"], variables: variables).line
    }

    /// - Returns: the conflicts; nil when the changes fit.
    private func replayEdits(_ move: inout Move, in quarantine: GitQuarantine) async throws -> [GitConflict]? {
        let message = "Changes that are not committed"
        let edits = try await quarantine.command.run(["commit-tree", move.tree, "-p", move.head, "-m", message]).line
        let oldTree = try await command.run(["rev-parse", "--verify", "\(move.head)^{tree}"]).line
        var end = move.newHead
        if oldTree != move.tree {
            let range = GitCommitRange(head: edits, commits: [edits], base: move.head, merges: [])
            switch try await quarantine.replay(range, onto: move.newHead) {
            case .moved(let moved): end = moved
            case .conflicts(_, let conflicts): return conflicts
            }
            move.hasEdits = true
        }
        move.newTree = try await quarantine.command.run(["rev-parse", "--verify", "\(end)^{tree}"]).line
        try await quarantine.release(Array(zip([end, move.newHead], Self.refs)), to: command)
        return nil
    }

    private func carryOut(_ move: Move) async throws -> Outcome {
        let inTheWay = try await untracked(move)
        guard inTheWay.isEmpty else { return .conflicts(subject: nil, inTheWay) }
        try copyIndex(index, spareIndex)
        try write(move)
        do {
            // The files are as in this tree; the index must say so, or git takes them for changes in the way.
            try await setIndex(move.tree)
            _ = try await command.run(["read-tree", "-m", "-u", move.tree, move.newTree], timeout: .seconds(600))
            try await moveHead(move)
        } catch {
            // Locks that are there now are those of a git that lives.
            guard try await settle(removesLocks: false) else { throw error }
            return .done(head: move.newHead)
        }
        try await complete(move)
        return .done(head: move.newHead)
    }

    private func moveHead(_ move: Move) async throws {
        _ = try await command.run(["update-ref", "-m", "discobot: rebase", "HEAD", move.newHead, move.head])
    }

    private func setIndex(_ tree: String) async throws {
        _ = try await command.run(["read-tree", tree])
        _ = try await command.run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
    }

    private func complete(_ move: Move) async throws {
        if move.hasEdits { try await setIndex(move.newHead) }
        try await forget()
    }

    private func forget(restoringIndex: Bool = false) async throws {
        // One that stays keeps a commit from being removed, and no more.
        for ref in Self.refs { _ = try? await command.run(["update-ref", "-d", ref]) }
        // Last and at once, so that nothing stays behind, and nothing is done again.
        if restoringIndex { rename(spareIndex, index) }
        unlink(record)
        removeSpareIndex()
    }

    private func change(_ move: Move) -> TreeChange {
        TreeChange(command, directory: directory, gitDirectory: gitDirectory, from: move.tree, to: move.newTree)
    }

    /// Git would refuse some of them, and write over those that it ignores.
    private func untracked(_ move: Move) async throws -> [GitConflict] {
        let change = change(move)
        return change.untracked(among: try await change.paths()).map {
            GitConflict(path: $0[...].text, reason: "is in the session already, and git does not track it there")
        }.sorted { $0.path < $1.path }
    }

    private func copyIndex(_ from: String, _ to: String) throws {
        // What a killed runtime has left.
        removeSpareIndex()
        guard try IndexCopy.make(of: from, at: to) else { throw GitError(.failed, "git's index is gone") }
    }

    private func removeSpareIndex() {
        unlink(spareIndex)
        unlink(spareIndex + ".lock")
    }
}

// MARK: - After a kill

extension GitWorkingRebase {
    /// Finishes a rebase that was killed while it changed the working copy, or undoes it. What is not committed stays in
    /// either case. Nothing else may be at work there. Throws ``GitError``.
    package func settle() async throws {
        try? FileManager.default.removeItem(atPath: scratch)
        // Also of a git that was killed before or after the change itself.
        for name in ["packed-refs"] + Self.refs { unlink("\(gitDirectory)/\(name).lock") }
        try await settle(removesLocks: true)
    }

    /// Whether there was something that is done now.
    @discardableResult
    private func settle(removesLocks: Bool) async throws -> Bool {
        guard let move = readMove() else { return false }
        if removesLocks { try await StaleLocks(command).remove(after: .zero) }
        switch try await commit("HEAD", "the session has no commit any more") {
        case move.head: return try await finishOrUndo(move)
        case move.newHead:
            try await complete(move)
            return true
        default:
            // Somebody has gone on without it.
            try await forget()
            return false
        }
    }

    private func finishOrUndo(_ move: Move) async throws -> Bool {
        let change = change(move)
        let paths = try await change.paths()
        // The index is written when all files are, and the branch is moved then.
        guard try await change.hasReachedIndex(paths) else {
            // Without the copy of the index all is undone, and the index is that copy.
            if access(spareIndex, F_OK) == 0 {
                try await setIndex(move.tree)
                try await change.undo(paths)
            }
            try await forget(restoringIndex: true)
            return false
        }
        try await moveHead(move)
        try await complete(move)
        return true
    }

    private func write(_ move: Move) throws {
        do {
            try JSONEncoder().encode(move).write(to: URL(filePath: record), options: .atomic)
        } catch {
            throw GitError(.storageFull, "there is no room to move the session's commits: \(error)")
        }
    }

    /// Nil for none, and for one that is not to be understood.
    private func readMove() -> Move? {
        guard let data = FileManager.default.contents(atPath: record) else { return nil }
        return try? JSONDecoder().decode(Move.self, from: data)
    }
}
