// SPDX-License-Identifier: Apache-2.0

/// News of a project, as a row; `sequence` has no hole and no duplicate within a project.
package struct Event: Sendable, Equatable {
    package let projectID: ID<Project>
    package let sequence: Int64
    package let type: String
    package let timestamp: Timestamp
    /// JSON object.
    package let data: String

    package init(projectID: ID<Project>, sequence: Int64, type: String, timestamp: Timestamp, data: String) {
        self.projectID = projectID
        self.sequence = sequence
        self.type = type
        self.timestamp = timestamp
        self.data = data
    }
}

/// What an event tells; the associated values are its data.
package enum EventKind: Sendable, Equatable {
    case workspaceUpdated(ID<Workspace>, WorkspaceStatus, progress: WorkspaceProgress? = nil)
    case sessionUpdated(ID<Session>, SessionStatus, CommitStatus = .none, progress: SessionProgress? = nil)
    case jobCompleted(Job, succeeded: Bool, error: String?)
    case startupTaskUpdated(StartupTask)

    package var type: String {
        switch self {
        case .workspaceUpdated: "workspace_updated"
        case .sessionUpdated: "session_updated"
        case .jobCompleted: "job_completed"
        case .startupTaskUpdated: "startup_task_updated"
        }
    }
}

/// How far the clone of a workspace has come.
package struct WorkspaceProgress: Sendable, Equatable {
    package let phase: String
    package let percent: Int

    package init(phase: String, percent: Int) {
        self.phase = phase
        self.percent = percent
    }
}

/// How far a session's preparation has come, and why it failed.
package struct SessionProgress: Sendable, Equatable {
    /// Since the preparation began.
    package let elapsed: Duration
    package let error: String?

    /// Nil unless the session is being prepared, or this very change has ended its preparation.
    package init?(_ session: Session) {
        guard let first = session.stages.first, let last = session.stages.last else { return nil }
        let hasJustEnded = last.durationMs.map { last.startedAt.milliseconds + $0 == session.updatedAt.milliseconds }
        guard session.status.isPreparing || hasJustEnded == true else { return nil }
        elapsed = .milliseconds(session.updatedAt.milliseconds - first.startedAt.milliseconds)
        error = session.errorMessage
    }
}

extension EventKind {
    /// What a change of the session tells.
    package static func sessionUpdated(_ session: Session) -> EventKind {
        .sessionUpdated(session.id, session.status, session.commitStatus, progress: SessionProgress(session))
    }
}

extension EventKind: Encodable {
    private enum Field: String, CodingKey {
        case workspaceId, sessionId, status, commitStatus, elapsedMs, phase, progress
        case jobId, jobType, resourceType, resourceId, error
    }

    package func encode(to encoder: any Encoder) throws {
        // A keyed container that is not used would leave an empty object.
        if case .startupTaskUpdated(let task) = self { return try task.encode(to: encoder) }
        var fields = encoder.container(keyedBy: Field.self)
        switch self {
        case .startupTaskUpdated: break
        case .workspaceUpdated(let id, let status, let progress):
            try fields.encode(id, forKey: .workspaceId)
            try fields.encode(status.rawValue, forKey: .status)
            try fields.encodeIfPresent(progress?.phase, forKey: .phase)
            try fields.encodeIfPresent(progress?.percent, forKey: .progress)
        case .sessionUpdated(let id, let status, let commitStatus, let progress):
            try fields.encode(id, forKey: .sessionId)
            try fields.encode(status.rawValue, forKey: .status)
            if commitStatus != .none { try fields.encode(commitStatus.rawValue, forKey: .commitStatus) }
            try fields.encodeIfPresent(progress?.elapsed.milliseconds, forKey: .elapsedMs)
            try fields.encodeIfPresent(progress?.error, forKey: .error)
        case .jobCompleted(let job, let succeeded, let error):
            try fields.encode(job.id, forKey: .jobId)
            try fields.encode(job.kind.rawValue, forKey: .jobType)
            try fields.encodeIfPresent(job.resource?.type, forKey: .resourceType)
            try fields.encodeIfPresent(job.resource?.id, forKey: .resourceId)
            try fields.encode(succeeded ? "completed" : "failed", forKey: .status)
            try fields.encodeIfPresent(error, forKey: .error)
        }
    }
}
