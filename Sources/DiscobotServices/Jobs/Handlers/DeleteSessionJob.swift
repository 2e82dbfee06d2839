// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Removes a session for good: its sandbox with all data, what it has begun and what keeps its commits in the workspace,
/// and its rows, which may be gone already together with those of its workspace or project.
package struct DeleteSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
        /// Of the workspace's repository; nil when the session never had a sandbox.
        let repository: String?
        /// Of the sandbox.
        let provider: String?
        /// What was being done to the workspace.
        let landing: CommitLanding?
    }

    package static let kind: Job.Kind = "session_delete"
    package static let policy = JobPolicy(concurrency: 2, priority: 5, queues: true, maxAttempts: 10)

    private let sandboxes: SandboxService
    private let git: GitService
    private let directories: WorkspaceDirectories

    package init(sandboxes: SandboxService, git: GitService, directories: WorkspaceDirectories) {
        self.sandboxes = sandboxes
        self.git = git
        self.directories = directories
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        // The id may have become another session's.
        let session = try await sandboxes.store.read { try $0.session(payload.sessionId) }
        guard session == nil || session?.status == .removing else { return { _ in } }
        try await sandboxes.remove(payload.sessionId, madeBy: payload.provider)
        if let directory = payload.repository {
            // Others may have settled it since.
            let landing = session == nil ? payload.landing : session?.landing
            try await git.release(payload.sessionId, landing, in: directory)
        }
        try await directories.removeQuarantine(of: payload.sessionId, in: payload.projectId)
        return { transaction in
            guard try transaction.deleteSession(payload.sessionId) else { return }
            try transaction.append(.sessionUpdated(payload.sessionId, .removed), to: payload.projectId)
        }
    }

    /// The session stays `removing`. Deleting it again starts over, and so does the watcher when the server starts or the
    /// engine answers again.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}

extension ID<Session> {
    /// What keeps the commit that the session started from in the workspace's repository.
    var keepRef: String { "refs/discobot/sessions/\(rawValue)" }
    /// What keeps the session's own commits that have landed in another form.
    var landedRef: String { "refs/discobot/landed/\(rawValue)" }
    /// What keeps a commit that the workspace, or the session, is about to be at.
    var landingRef: String { "refs/discobot/landing/\(rawValue)" }

    var refs: [String] { [keepRef, landedRef, landingRef] }
}

extension JobQueue {
    func enqueue(_ handler: DeleteSessionJob.Type, _ session: Session, in transaction: Transaction) throws {
        let payload = DeleteSessionJob.Payload(
            projectId: session.projectID,
            sessionId: session.id,
            repository: session.workspacePath,
            provider: session.sandboxProvider,
            landing: session.landing
        )
        try enqueue(handler, payload, project: session.projectID, resource: .session(session.id), in: transaction)
    }
}
