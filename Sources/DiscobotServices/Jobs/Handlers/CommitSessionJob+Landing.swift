// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotModel

// Into the workspace.
extension CommitSessionJob {
    /// How often a workspace may move while commits are fitted to it, and how often of these others need not wait for it.
    private static let (maximumTries, freeTries) = (5, 2)

    /// Whether the commits are in the workspace already, by a server that died. What it has left half done is settled.
    func hasLanded(_ session: Session, _ payload: Payload) async throws -> Bool {
        guard session.landing != nil || session.appliedCommit != nil else { return false }
        try await finish(payload)
        return try await operation(payload).current()?.appliedCommit != nil
    }

    /// Fits the commits that lead to `head` to the workspace, and moves it there.
    func land(_ head: String, _ quarantine: GitQuarantine, _ payload: Payload) async throws {
        for number in 0..<Self.maximumTries {
            let hasLanded =
                number < Self.freeTries
                ? try await landFreely(head, quarantine, payload) : try await landAlone(head, quarantine, payload)
            if hasLanded { return try await finish(payload) }
        }
        throw ServerError.conflict("the workspace moves too quickly; try again when it is at rest")
    }

    /// Others may change the workspace while the commits are fitted to it. False when somebody has.
    private func landFreely(_ head: String, _ quarantine: GitQuarantine, _ payload: Payload) async throws -> Bool {
        let landing = try await git.read(payload.target, "apply commits") { repository in
            try await fit(head, quarantine, repository, payload)
        }
        return try await git.change(payload.target, "apply commits") { repository in
            try await apply(landing, repository, payload)
        }
    }

    /// For a workspace that does not rest.
    private func landAlone(_ head: String, _ quarantine: GitQuarantine, _ payload: Payload) async throws -> Bool {
        try await git.change(payload.target, "apply commits") { repository in
            try await apply(try await fit(head, quarantine, repository, payload), repository, payload)
        }
    }

    /// Moves the commits onto the workspace's newest one, which they do not touch. It then has them, but not in a branch.
    private func fit(
        _ head: String,
        _ quarantine: GitQuarantine,
        _ repository: GitRepository,
        _ payload: Payload
    ) async throws -> CommitLanding {
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
        let moved = try await replay(range, to: workspace, in: quarantine)
        try await quarantine.checkChange(from: workspace, to: moved)
        try await git.adopt([moved, head], from: quarantine)
        return CommitLanding(from: workspace, to: moved, session: head)
    }

    private func replay(_ range: GitCommitRange, to workspace: String, in quarantine: GitQuarantine) async throws
        -> String
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

    /// Moves the workspace, while nobody else changes it. False when it has moved meanwhile.
    private func apply(_ landing: CommitLanding, _ repository: GitRepository, _ payload: Payload) async throws -> Bool {
        guard try await repository.headCommit() == landing.from else { return false }
        let id = payload.sessionId
        try await operation(payload).keep([id.landingRef: landing.to, id.landedRef: landing.session], in: repository)
        if landing.to != landing.from {
            let git = GitLanding(repository)
            let obstacles = try await git.obstacles(to: landing.step)
            guard obstacles.isEmpty else {
                throw ServerError(
                    "the workspace has changes in the way of the session's commits:",
                    obstacles.map { ($0.path, $0.reason) }
                )
            }
            guard try await advance(landing, repository, payload) else { return false }
        }
        try await operation(payload).change { $0.land(landing) }
        return true
    }

    /// What is about to be done is written down before, and stays so when nobody knows what has become of it.
    private func advance(_ landing: CommitLanding, _ repository: GitRepository, _ payload: Payload) async throws -> Bool
    {
        try await operation(payload).change { $0.landing = landing }
        do {
            try await translatingUnsettled {
                try await withoutCancellation { try await GitLanding(repository).advance(landing.step) }
            }
            return true
        } catch let error as GitError {
            // Nothing has changed.
            try await operation(payload).change { $0.landing = nil }
            guard try await repository.headCommit() == landing.from else { return false }
            throw error
        }
    }

    func finish(_ payload: Payload) async throws {
        try await git.change(payload.target, "finish the commit") {
            try await $0.removeRef(payload.sessionId.landingRef)
        }
        try await git.recordHead(payload.target)
    }
}
