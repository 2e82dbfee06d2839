// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
import FoundationEssentials

/// Puts jobs into the transaction that makes them necessary.
package struct JobQueue: Sendable {
    private let maxAttempts: Int

    package init(maxAttempts: Int) {
        self.maxAttempts = maxAttempts
    }

    /// Stores a job for `handler`; false when the resource has one of this kind already and it does not queue.
    @discardableResult
    package func enqueue<Handler: JobHandler>(
        _ handler: Handler.Type,
        _ payload: Handler.Payload,
        project: ID<Project>,
        resource: Job.Resource?,
        in transaction: Transaction
    ) throws -> Bool {
        try transaction.enqueue(
            JobRequest(
                kind: Handler.kind,
                projectID: project,
                resource: resource,
                payload: String(decoding: try JSONEncoder().encode(payload), as: UTF8.self),
                priority: Handler.policy.priority,
                maxAttempts: Handler.policy.maxAttempts ?? maxAttempts,
                queues: Handler.policy.queues
            )
        )
    }
}
