// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// A job to be stored.
package struct JobRequest: Sendable {
    package let kind: Job.Kind
    package let projectID: ID<Project>
    package let resource: Job.Resource?
    /// JSON of the handler's payload.
    package let payload: String
    package let priority: Int
    package let maxAttempts: Int
    /// Whether it may wait behind a job of the same kind on its resource; otherwise it counts as already under way.
    package let queues: Bool

    package init(
        kind: Job.Kind,
        projectID: ID<Project>,
        resource: Job.Resource?,
        payload: String,
        priority: Int,
        maxAttempts: Int,
        queues: Bool
    ) {
        self.kind = kind
        self.projectID = projectID
        self.resource = resource
        self.payload = payload
        self.priority = priority
        self.maxAttempts = maxAttempts
        self.queues = queues
    }
}

extension Transaction {
    /// Stores a job that is due at once; false when the resource has one of its kind already and it does not queue.
    @discardableResult
    package func enqueue(_ job: JobRequest) throws -> Bool {
        if !job.queues, let resource = job.resource, try hasActiveJob(job.kind, on: resource) { return false }
        let now = Timestamp.now
        try execute(
            """
            INSERT INTO jobs (id, type, project_id, resource_type, resource_id, payload, status, priority, max_attempts,
                scheduled_at, created_at, updated_at)
            VALUES (\(ID<Job>.ordered()), \(job.kind), \(job.projectID), \(job.resource?.type), \(job.resource?.id),
                \(job.payload), \(JobStatus.pending), \(job.priority), \(job.maxAttempts), \(now), \(now), \(now))
            """
        )
        news.hasJobs = true
        return true
    }

    /// Whether a job that nobody has cancelled waits or runs for the resource, of a kind or of any.
    package func hasActiveJob(_ kind: Job.Kind? = nil, on resource: Job.Resource) throws -> Bool {
        let isOfKind: SQL = kind.map { "AND type = \($0)" } ?? ""
        return try row(
            """
            SELECT 1 AS found FROM jobs WHERE resource_type = \(resource.type) AND resource_id = \(resource.id)
                AND status IN ('pending', 'running') AND cancel_requested = 0 \(isOfKind) LIMIT 1
            """
        ) != nil
    }

    /// Stops what is under way for a resource.
    package func cancelJobs(on resource: Job.Resource) throws {
        try cancelJobs(where: "resource_type = \(resource.type) AND resource_id = \(resource.id)")
    }

    /// Stops what is under way for a project.
    package func cancelJobs(of project: ID<Project>) throws {
        try cancelJobs(where: "project_id = \(project)")
    }

    /// Waiting jobs end at once; running ones are asked to stop and end when they did.
    private func cancelJobs(where condition: SQL) throws {
        let now = Timestamp.now
        try execute(
            """
            UPDATE jobs SET status = 'cancelled', completed_at = \(now), updated_at = \(now)
            WHERE status = 'pending' AND \(condition)
            """
        )
        let running = try rows(
            """
            UPDATE jobs SET cancel_requested = 1, updated_at = \(now) WHERE status = 'running' AND \(condition)
            RETURNING id
            """
        )
        news.cancelledJobs.formUnion(try running.map { try $0.value("id") })
    }
}

extension Job {
    static let columns: SQL =
        """
        id, type, project_id, resource_type, resource_id, payload, status, attempts, max_attempts, fence,
        cancel_requested
        """

    init(_ row: SQLRow) throws {
        let resourceType: String? = try row.value("resource_type")
        let resourceID: String? = try row.value("resource_id")
        self.init(
            id: try row.value("id"),
            kind: try row.value("type"),
            projectID: try row.value("project_id"),
            resource: resourceType.flatMap { type in resourceID.map { Resource(type: type, id: $0) } },
            payload: try row.value("payload"),
            status: try row.value("status"),
            attempts: try row.value("attempts"),
            maxAttempts: try row.value("max_attempts"),
            fence: try row.value("fence"),
            isCancelRequested: try row.value("cancel_requested")
        )
    }
}
