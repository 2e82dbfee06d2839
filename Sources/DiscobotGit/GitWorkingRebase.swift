// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Puts the commits of a working copy, and its changes that are not committed, on top of another commit.
///
/// Everything is worked out in a quarantine first; the working copy changes when all of it fits, and stays as it is
/// otherwise. Changes come back without being staged.
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
    private struct Move {
        let head: String
        /// The tree of the files with their changes.
        let tree: String
        var newHead: String
        var newTree: String
        var hasEdits = false
    }

    /// - Parameter landed: commits of the working copy that `target` has already, in whatever form.
    package func run(onto target: String, landed: [String], committer: GitIdentity) async throws -> Outcome {
        try GitRepository.checkIdle("\(directory)/.git", of: "the session")
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

    private var index: String { "\(directory)/.git/index" }
    private var spareIndex: String { scratch + ".index" }

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
        let ref = "refs/discobot/rebase"
        try await quarantine.release([(end, ref), (move.newHead, ref + "-head")], to: command)
        return nil
    }

    private func carryOut(_ move: Move) async throws -> Outcome {
        let inTheWay = try await untracked(move)
        guard inTheWay.isEmpty else { return .conflicts(subject: nil, inTheWay) }
        try copyIndex(index, spareIndex)
        defer { removeSpareIndex() }
        do {
            // The files are as in this tree; the index must say so, or git takes them for changes in the way.
            _ = try await command.run(["read-tree", move.tree])
            _ = try await command.run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
            _ = try await command.run(["read-tree", "-m", "-u", move.tree, move.newTree], timeout: .seconds(600))
        } catch {
            rename(spareIndex, index)
            throw error
        }
        do {
            _ = try await command.run(["update-ref", "-m", "discobot: rebase", "HEAD", move.newHead, move.head])
        } catch {
            _ = try await command.run(["read-tree", "-m", "-u", move.newTree, move.tree], timeout: .seconds(600))
            rename(spareIndex, index)
            throw error
        }
        if move.hasEdits {
            _ = try await command.run(["read-tree", move.newHead])
            _ = try await command.run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
        }
        for ref in ["refs/discobot/rebase", "refs/discobot/rebase-head"] {
            _ = try await command.run(["update-ref", "-d", ref])
        }
        return .done(head: move.newHead)
    }

    /// Git would refuse some of them, and write over those that it ignores.
    private func untracked(_ move: Move) async throws -> [GitConflict] {
        let added = try await command.run(
            ["diff-tree", "-r", "--no-renames", "--name-only", "--diff-filter=A", "-z", move.tree, move.newTree]
        )
        return NULFields(added.bytes).filter { GitRepository.exists(Array($0), in: directory) }.map {
            GitConflict(path: $0.text, reason: "is in the session already, and git does not track it there")
        }
    }

    private func copyIndex(_ from: String, _ to: String) throws {
        do {
            try FileManager.default.copyItem(atPath: from, toPath: to)
        } catch {
            throw GitError(.failed, "git's index could not be copied: \(error)")
        }
    }

    private func removeSpareIndex() {
        unlink(spareIndex)
    }
}
