// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import FoundationEssentials
import Glibc
import SystemPackage

/// Makes a working copy that shares the objects of the workspace's repository, so that it costs the checkout only.
///
/// It is made beside its place and renamed at the end: the place holds a whole working copy or none.
struct WorkingCopyPreparation {
    let source: WorkspaceSource
    let directory: String
    let git: AgentGit

    private static let stagingSuffix = ".preparing"

    /// Removes what a runtime that was killed has left.
    func removeStaging() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasSuffix(Self.stagingSuffix)
        {
            try FileManager.default.removeItem(atPath: "\(parent)/\(name)")
        }
    }

    /// Throws `GitError`, whose message may be shown.
    func run() async throws {
        let staging = "\(parent)/.workspace.\(UUID().uuidString)\(Self.stagingSuffix)"
        defer { try? FileManager.default.removeItem(atPath: staging) }
        guard FileManager.default.fileExists(atPath: source.path) else {
            throw GitError(.notFound, "the workspace's repository is not there: \(source.path)")
        }
        // Each process takes milliseconds that somebody waits for, so those go side by side that can.
        async let clone: Void = clone(into: staging)
        let state = try await sourceState()
        try await clone
        if let commit = state.commit {
            async let isCheckedOut: Void = checkOut(commit, state.branch, in: staging)
            try await setOrigin("set-url", of: staging)
            try await isCheckedOut
        } else {
            // A clone of nothing is on no branch of the workspace's.
            try FileManager.default.removeItem(atPath: staging)
            try await git.run(["init", "-q", "--template=", "-b", state.branch ?? "main", "--", staging], in: nil)
            try await setOrigin("add", of: staging)
        }
        guard rename(staging, directory) == 0 else {
            throw GitError(.failed, "the working copy could not be moved to its place: \(Errno(rawValue: errno))")
        }
    }

    private var parent: String { FilePath(directory).removingLastComponent().string }

    private struct SourceState {
        /// The commit to start at; nil for a repository without any.
        let commit: String?
        /// The branch to be on; nil when there is none of the workspace's.
        let branch: String?
    }

    private func sourceState() async throws -> SourceState {
        if let state = try await usualState() { return state }
        let head = try await text(["rev-parse", "-q", "--verify", "HEAD^{commit}"])
        let branch = try await text(["symbolic-ref", "-q", "--short", "HEAD"])
        guard let wanted = source.commit else { return SourceState(commit: head, branch: branch) }
        guard let commit = try await text(["rev-parse", "-q", "--verify", "\(wanted)^{commit}"]) else {
            throw GitError(.notFound, "commit \(wanted) is not in the workspace's repository any more")
        }
        return SourceState(commit: commit, branch: commit == head ? branch : nil)
    }

    /// What one process can tell when the wanted commit and HEAD are there.
    private func usualState() async throws -> SourceState? {
        let questions = ["\(source.commit ?? "HEAD")^{commit}", "HEAD^{commit}", "--symbolic-full-name", "HEAD"]
        let output = try await git.run(["rev-parse"] + questions, in: source.path, acceptedExitCodes: [0, 128])
        let answers = output.text.split(whereSeparator: \.isNewline)
        let branches = "refs/heads/"
        guard output.exitCode == 0, answers.count == 3, answers[2].hasPrefix(branches) else { return nil }
        let branch = answers[0] == answers[1] ? String(answers[2].dropFirst(branches.count)) : nil
        return SourceState(commit: String(answers[0]), branch: branch)
    }

    /// The answer of a question to the workspace's repository; nil for none.
    private func text(_ arguments: [String]) async throws -> String? {
        let output = try await git.run(arguments, in: source.path, acceptedExitCodes: [0, 1, 128])
        if output.exitCode == 128 {
            // Tells why.
            try await git.run(["rev-parse", "--git-dir"], in: source.path)
            return nil
        }
        let line = output.text.split(whereSeparator: \.isNewline).first.map(String.init)
        return output.exitCode == 0 ? line : nil
    }

    private func clone(into staging: String) async throws {
        try await git.run(
            ["clone", "-q", "--shared", "--no-checkout", "--template=", "-o", "origin", "--", source.path, staging],
            in: nil,
            timeout: .seconds(1_800)
        )
    }

    private func checkOut(_ commit: String, _ branch: String?, in staging: String) async throws {
        // HEAD may be detached, or the commit on no branch: then a shared repository has it all the same.
        let branch = branch ?? "discobot/\(source.sessionID)"
        try await git.run(["checkout", "-q", "-f", "-B", branch, commit], in: staging, timeout: .seconds(1_800))
    }

    private func setOrigin(_ verb: String, of staging: String) async throws {
        guard let origin = source.origin else { return }
        try await git.run(["remote", verb, "origin", origin], in: staging)
    }
}
