// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Removes a session that is marked for removal.
package struct DeleteSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
    }

    package static let kind: Job.Kind = "session_delete"
    package static let policy = JobPolicy(concurrency: 2, priority: 5, queues: true)

    package init() {}

    package func run(_ payload: Payload) async throws -> JobResult {
        { transaction in
            guard try transaction.deleteSession(payload.sessionId) else { return }
            try transaction.append(.sessionUpdated(payload.sessionId, .removed), to: payload.projectId)
        }
    }

    /// The session stays `removing`; deleting it again starts over.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}
