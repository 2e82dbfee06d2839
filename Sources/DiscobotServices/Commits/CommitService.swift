// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Asks for the commits of sessions to be taken to their workspaces, and for sessions to be put on top of those.
package struct CommitService: Sendable {
    private let store: Store
    private let jobs: JobQueue
    private let git: GitService

    package init(store: Store, jobs: JobQueue, git: GitService) {
        self.store = store
        self.jobs = jobs
        self.git = git
    }

    /// Takes a session's commits to its workspace, in the background. Throws `notFound`, and `conflict` while that is
    /// under way.
    package func commit(_ id: ID<Session>, of project: ID<Project>) async throws {
        try await begin(id, of: project) { session, landed, transaction in
            session.appliedCommit = nil
            var number = 1
            while try transaction.message(CommitPrompt.messageID(of: id, number: number), of: id) != nil { number += 1 }
            let message = CommitPrompt.messageID(of: id, number: number)
            try jobs.enqueue(CommitSessionJob.self, session, message: message, landed: landed, in: transaction)
        }
    }

    /// Puts what a session has on top of its workspace's newest commit, in the background. Throws `notFound`, and
    /// `conflict` while that is under way or a turn waits or runs.
    package func rebase(_ id: ID<Session>, of project: ID<Project>) async throws {
        try await begin(id, of: project) { session, _, transaction in
            guard try transaction.openTurns(of: id).isEmpty else {
                throw ServerError.conflict("the session has turns that wait or run; cancel them first")
            }
            try jobs.enqueue(RebaseSessionJob.self, session, in: transaction)
        }
    }

    /// - Parameter enqueue: is told the workspace's commit with what an earlier request has landed unseen.
    private func begin(
        _ id: ID<Session>,
        of project: ID<Project>,
        _ enqueue: @escaping @Sendable (inout Session, _ landed: String?, Transaction) throws -> Void
    ) async throws {
        let before = try await store.read { try Self.session(id, of: project, $0) }
        let target = GitService.Target(workspace: before.workspaceID, project: project)
        // What is left of an earlier request would pass for the end of this one.
        if before.landing != nil {
            try await git.change(target, "finish the last commit") { _ in }
            try await git.recordHead(target)
        }
        guard let head = try await git.resolve(target, ref: "HEAD") else {
            throw ServerError(.operationFailed, "Failed to initiate session commit: the workspace has no commit yet")
        }
        try await store.write { transaction in
            var session = try Self.session(id, of: project, transaction)
            guard session.landing == nil else {
                throw ServerError(.unavailable, "the session's last commit is still under way; try again")
            }
            let landed = before.landing.flatMap { $0.session == session.landedCommit ? $0.to : nil }
            session.baseCommit = head
            session.commitError = nil
            session.commitStatus = .pending
            session.updatedAt = .now
            try enqueue(&session, landed, transaction)
            try transaction.update(session)
            try transaction.append(.sessionUpdated(session), to: project)
        }
    }

    private static func session(
        _ id: ID<Session>,
        of project: ID<Project>,
        _ transaction: Transaction
    ) throws -> Session {
        guard let session = try transaction.session(id, of: project) else {
            throw ServerError.notFound("Session not found")
        }
        guard session.status != .removing else { throw ServerError.conflict("the session is being removed") }
        guard session.commitStatus.canBecome(.pending) else {
            throw ServerError.conflict("commit already in progress (status: \(session.commitStatus.rawValue))")
        }
        return session
    }
}
