// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// What a worker holds a job with.
package struct JobLease: Sendable {
    package let workerID: String
    package let expiresAt: Timestamp

    package init(workerID: String, expiresAt: Timestamp) {
        self.workerID = workerID
        self.expiresAt = expiresAt
    }
}

extension Transaction {
    /// Extends the leases of jobs that a worker runs; returns those that are still its own, as they are now.
    package func renewLeases(of jobs: [ID<Job>], _ lease: JobLease) throws -> [Job] {
        guard !jobs.isEmpty else { return [] }
        return try rows(
            """
            UPDATE jobs SET lease_expires_at = \(lease.expiresAt)
            WHERE status = 'running' AND worker_id = \(lease.workerID) AND id IN \(list: jobs) RETURNING \(Job.columns)
            """
        ).map(Job.init)
    }

    /// Running jobs whose worker has stopped renewing, or which run since before `staleBefore` and are not of a kind
    /// that may.
    package func lostJobs(staleBefore: Timestamp, except kinds: [Job.Kind] = [], limit: Int) throws -> [Job] {
        let isShort: SQL = kinds.isEmpty ? "" : "AND type NOT IN \(list: kinds)"
        return try rows(
            """
            SELECT \(Job.columns) FROM jobs
            WHERE status = 'running' AND (
                lease_expires_at < \(Timestamp.now) OR started_at < \(staleBefore) \(isShort))
            ORDER BY lease_expires_at LIMIT \(limit)
            """
        ).map(Job.init)
    }

    /// Ends all leases: for a database whose other users are known to be dead.
    package func expireLeases() throws {
        try execute("UPDATE jobs SET lease_expires_at = 0 WHERE status = 'running'")
    }

    /// Records how an attempt ended; a job that somebody wants stopped always ends as cancelled.
    ///
    /// - Returns: the status that was recorded; nil when the worker no longer holds the job, whose result must then be
    ///   dropped like that of a cancelled one.
    package func settle(_ job: Job, as status: JobStatus, error: String?, retryAt: Timestamp) throws -> JobStatus? {
        let held: SQL = "id = \(job.id) AND status = 'running' AND fence = \(job.fence)"
        guard
            let isCancelled: Bool = try row("SELECT cancel_requested FROM jobs WHERE \(held)")?.value(
                "cancel_requested"
            )
        else { return nil }
        let status = isCancelled ? .cancelled : status
        let now = Timestamp.now
        try execute(
            """
            UPDATE jobs SET status = \(status), error = \(error), worker_id = NULL, lease_expires_at = NULL,
                scheduled_at = \(retryAt), completed_at = \(status == .pending ? nil : now), updated_at = \(now)
            WHERE \(held)
            """
        )
        news.hasJobs = true
        return status
    }

    /// Gives an attempt back that was cut short by no fault of the job.
    package func forgetAttempt(_ job: Job) throws {
        try execute("UPDATE jobs SET attempts = attempts - 1 WHERE id = \(job.id) AND attempts > 0")
    }

    /// Removes some of the jobs that ended before `time`; returns how many.
    @discardableResult
    package func deleteEndedJobs(before time: Timestamp) throws -> Int {
        try execute(
            """
            DELETE FROM jobs WHERE id IN (
                SELECT id FROM jobs WHERE completed_at IS NOT NULL AND completed_at < \(time) LIMIT 1000)
            """
        )
    }
}
