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
    /// Extends the leases of all jobs that a worker runs; returns them as they are now.
    package func renewLeases(_ lease: JobLease) throws -> [Job] {
        try rows(
            """
            UPDATE jobs SET lease_expires_at = \(lease.expiresAt)
            WHERE status = 'running' AND worker_id = \(lease.workerID) RETURNING \(Job.columns)
            """
        ).map(Job.init)
    }

    /// Running jobs whose worker has stopped renewing, or which run since before `staleBefore`.
    package func lostJobs(staleBefore: Timestamp, limit: Int) throws -> [Job] {
        try rows(
            """
            SELECT \(Job.columns) FROM jobs
            WHERE status = 'running' AND (lease_expires_at < \(Timestamp.now) OR started_at < \(staleBefore))
            ORDER BY lease_expires_at LIMIT \(limit)
            """
        ).map(Job.init)
    }

    /// Ends all leases: for a database whose other users are known to be dead.
    package func expireLeases() throws {
        try execute("UPDATE jobs SET lease_expires_at = 0 WHERE status = 'running'")
    }

    /// Records how an attempt ended; false when the worker no longer holds the job, whose result must then be dropped.
    package func settle(_ job: Job, as status: JobStatus, error: String?, retryAt: Timestamp) throws -> Bool {
        let now = Timestamp.now
        let returned = status == .pending
        let settled = try execute(
            """
            UPDATE jobs SET status = \(status), error = \(error), worker_id = NULL, lease_expires_at = NULL,
                scheduled_at = \(retryAt), completed_at = \(returned ? nil : now), updated_at = \(now)
            WHERE id = \(job.id) AND status = 'running' AND fence = \(job.fence)
            """
        )
        if settled > 0 { news.hasJobs = true }
        return settled > 0
    }

    /// Gives an attempt back that was cut short by no fault of the job.
    package func forgetAttempt(_ job: Job) throws {
        try execute("UPDATE jobs SET attempts = attempts - 1 WHERE id = \(job.id) AND attempts > 0")
    }

    /// Removes jobs that ended before `time`, some at a time.
    package func deleteEndedJobs(before time: Timestamp) throws {
        try execute(
            """
            DELETE FROM jobs WHERE id IN (
                SELECT id FROM jobs WHERE completed_at IS NOT NULL AND completed_at < \(time) LIMIT 1000)
            """
        )
    }
}
