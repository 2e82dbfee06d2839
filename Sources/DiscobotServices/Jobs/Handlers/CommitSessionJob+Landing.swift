// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotModel

// Into the workspace.
extension CommitSessionJob {
    /// How often a workspace may move while commits are fitted to it.
    private static let maximumTries = 5

    /// What a server that died has done of a step that it had written down: nil when nothing, and then nothing of it is
    /// left.
    func settled(_ session: Session, _ payload: Payload) async throws -> CommitLanding? {
        guard let landing = session.landing else { return nil }
        let isDone = try await git.change(payload.target, "finish the commit") { repository in
            try await unlessCancelled { try await GitLanding(repository).settle(landing.step) }
        }
        guard isDone else {
            try await operation(payload).change { $0.landing = nil }
            return nil
        }
        try await finish(payload)
        return landing
    }

    /// Fits the commits that lead to `head` to the workspace, while nobody else changes it, and moves it there.
    func land(
        _ head: String,
        _ session: Session,
        _ quarantine: GitQuarantine,
        _ payload: Payload
    ) async throws -> CommitLanding {
        for _ in 0..<Self.maximumTries {
            let landing = try await git.change(payload.target, "apply commits") { repository in
                try await attempt(head, session, quarantine, repository, payload)
            }
            guard let landing else { continue }
            try await finish(payload)
            return landing
        }
        throw ServerError.conflict("the workspace moves too quickly; try again when it is at rest")
    }

    /// Nil when the workspace has moved meanwhile.
    private func attempt(
        _ head: String,
        _ session: Session,
        _ quarantine: GitQuarantine,
        _ repository: GitRepository,
        _ payload: Payload
    ) async throws -> CommitLanding? {
        guard let workspace = try await repository.headCommit() else {
            throw ServerError.conflict("the workspace has no commit any more")
        }
        let session = try await operation(payload).change { $0.baseCommit = workspace }
        let git = GitLanding(repository)
        let known = try await git.known(
            [workspace, session.landedCommit, session.workspaceCommit].compactMap(\.self)
        )
        guard let range = try await quarantine.commits(to: head, beyond: known) else {
            throw Self.noCommits
        }
        let moved = try await fit(range, to: workspace, in: quarantine)
        try await git.adopt([(moved, session.id.landingRef), (head, session.id.landedRef)], from: quarantine)
        let landing = CommitLanding(from: workspace, to: moved, session: head)
        guard moved != workspace else { return landing }
        let obstacles = try await git.obstacles(to: landing.step)
        guard obstacles.isEmpty else {
            throw ServerError(
                "the workspace has changes in the way of the session's commits:",
                obstacles.map { ($0.path, $0.reason) }
            )
        }
        try await operation(payload).change { $0.landing = landing }
        do {
            try await unlessCancelled { try await git.advance(landing.step) }
        } catch {
            try await operation(payload).change { $0.landing = nil }
            guard try await repository.headCommit() == workspace else { return nil }
            throw error
        }
        return landing
    }

    private func fit(_ range: GitCommitRange, to workspace: String, in quarantine: GitQuarantine) async throws -> String
    {
        switch try await quarantine.replay(range, onto: workspace) {
        case .moved(let commit): return commit
        case .conflicts(let subject, let conflicts):
            throw ServerError(
                "the session's commit \"\(subject)\" does not fit on the workspace's newest commit; rebase the session:",
                conflicts.map { ($0.path, $0.reason) }
            )
        }
    }

    private func finish(_ payload: Payload) async throws {
        try await git.recordHead(payload.target)
        try await git.change(payload.target, "finish the commit") {
            try await $0.removeRef(payload.sessionId.landingRef)
        }
    }

    /// Goes on to its end when the job is to stop: what changes the workspace is not left half done, and it is soon over.
    private func unlessCancelled<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        return try await Task { try await body() }.value
    }
}

extension CommitLanding {
    fileprivate var step: GitLanding.Step { GitLanding.Step(from: from, to: to) }
}
