// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Stops the sandbox of a session that has nothing to do, or that is not to run.
package struct StopSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
        /// The session's last change when it was found idle; one that has changed since is not.
        let idleSince: Int64
    }

    package static let kind: Job.Kind = "session_stop"
    package static let policy = JobPolicy(concurrency: 4, maxAttempts: 10)

    private let sandboxes: SandboxService

    package init(sandboxes: SandboxService) {
        self.sandboxes = sandboxes
    }

    /// The status changes first: whoever wants the sandbox from then on has it started again, after this job.
    package func run(_ payload: Payload) async throws -> JobResult {
        let stopped = try await sandboxes.store.write { transaction -> Session? in
            guard var session = try transaction.session(payload.sessionId, of: payload.projectId) else { return nil }
            if [.stopped, .error].contains(session.status) { return session }
            guard session.status == .ready, session.updatedAt.milliseconds == payload.idleSince,
                try transaction.openTurns(of: session.id).isEmpty
            else { return nil }
            session.become(.stopped)
            try transaction.update(session)
            try transaction.append(.sessionUpdated(session), to: payload.projectId)
            return session
        }
        if let stopped { try await sandboxes.stop(stopped) }
        return { _ in }
    }

    /// The sandbox runs on, until the session is used, removed, or looked at when a server starts.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}

extension JobQueue {
    func enqueue(_ handler: StopSessionJob.Type, _ session: Session, in transaction: Transaction) throws {
        let payload = StopSessionJob.Payload(
            projectId: session.projectID,
            sessionId: session.id,
            idleSince: session.updatedAt.milliseconds
        )
        try enqueue(handler, payload, project: session.projectID, resource: .session(session.id), in: transaction)
    }
}
