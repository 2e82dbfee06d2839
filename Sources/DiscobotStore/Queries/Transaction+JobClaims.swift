// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// Takes due jobs of a kind: by priority, then from the project with the fewest running jobs of the kind, then the
    /// oldest. Jobs whose resource has a running job wait, and jobs about a whole project for all that runs in it.
    ///
    /// Only the first job of each project is looked at, so a long queue of one project costs the others nothing.
    package func claimJobs(of kind: Job.Kind, upTo count: Int, lease: JobLease) throws -> [Job] {
        guard count > 0 else { return [] }
        let now = Timestamp.now
        var running = try runningJobs(of: kind)
        var candidates = try waitingProjects(of: kind).compactMap { try firstJob(of: kind, in: $0, due: now) }
        var claimed: [Job] = []
        while claimed.count < count,
            let next = candidates.indices.min(by: { first, second in
                candidates[first].goes(before: candidates[second], running: running)
            })
        {
            let candidate = candidates.remove(at: next)
            if let job = try claim(candidate.id, lease: lease, at: now) {
                claimed.append(job)
                running[candidate.project, default: 0] += 1
            }
            if let following = try firstJob(of: kind, in: candidate.project, due: now) { candidates.append(following) }
        }
        return claimed
    }

    private func runningJobs(of kind: Job.Kind) throws -> [ID<Project>: Int] {
        let counts = try rows(
            """
            SELECT project_id, COUNT(*) AS total FROM jobs WHERE status = 'running' AND type = \(kind)
            GROUP BY project_id
            """
        )
        return try counts.reduce(into: [:]) { $0[try $1.value("project_id")] = try $1.value("total") }
    }

    /// Skips along the index from project to project.
    private func waitingProjects(of kind: Job.Kind) throws -> [ID<Project>] {
        var projects: [ID<Project>] = []
        while let next = try waitingProject(of: kind, after: projects.last?.rawValue ?? "") { projects.append(next) }
        return projects
    }

    private func waitingProject(of kind: Job.Kind, after last: String) throws -> ID<Project>? {
        let found = try row(
            """
            SELECT MIN(project_id) AS next FROM jobs
            WHERE status = 'pending' AND type = \(kind) AND project_id > \(last)
            """
        )
        let next: ID<Project>? = try found?.value("next")
        return next
    }

    private func firstJob(of kind: Job.Kind, in project: ID<Project>, due now: Timestamp) throws -> JobCandidate? {
        try row(
            """
            SELECT id, project_id, priority, scheduled_at, created_at FROM jobs AS job
            WHERE status = 'pending' AND type = \(kind) AND project_id = \(project) AND scheduled_at <= \(now)
                AND NOT EXISTS (
                    SELECT 1 FROM jobs AS other WHERE other.status = 'running'
                        AND other.resource_type = job.resource_type AND other.resource_id = job.resource_id)
                AND (resource_type IS NULL OR resource_type <> 'project' OR NOT EXISTS (
                    SELECT 1 FROM jobs AS other WHERE other.status = 'running' AND other.project_id = job.project_id))
            ORDER BY priority DESC, scheduled_at, created_at, id LIMIT 1
            """
        ).map(JobCandidate.init)
    }

    /// Nil when another server was quicker.
    private func claim(_ id: ID<Job>, lease: JobLease, at now: Timestamp) throws -> Job? {
        try row(
            """
            UPDATE jobs SET status = 'running', worker_id = \(lease.workerID), lease_expires_at = \(lease.expiresAt),
                started_at = \(now), updated_at = \(now), attempts = attempts + 1, fence = fence + 1
            WHERE id = \(id) AND status = 'pending' RETURNING \(Job.columns)
            """
        ).map(Job.init)
    }
}

/// The job that is next in its project.
private struct JobCandidate {
    let id: ID<Job>
    let project: ID<Project>
    private let priority: Int
    private let scheduledAt: Timestamp
    private let createdAt: Timestamp

    init(_ row: SQLRow) throws {
        id = try row.value("id")
        project = try row.value("project_id")
        priority = try row.value("priority")
        scheduledAt = try row.value("scheduled_at")
        createdAt = try row.value("created_at")
    }

    func goes(before other: JobCandidate, running: [ID<Project>: Int]) -> Bool {
        if priority != other.priority { return priority > other.priority }
        let (mine, others) = (running[project, default: 0], running[other.project, default: 0])
        if mine != others { return mine < others }
        return (scheduledAt, createdAt, id.rawValue) < (other.scheduledAt, other.createdAt, other.id.rawValue)
    }
}
