// SPDX-License-Identifier: Apache-2.0

/// One conversation of a user with an agent about a workspace.
package struct Session: Sendable, Equatable {
    package let id: ID<Session>
    package let projectID: ID<Project>
    package let workspaceID: ID<Workspace>
    package var agentID: ID<Agent>?
    package var name: String
    package var displayName: String?
    package let description: String?
    package var status: SessionStatus
    package var commitStatus: CommitStatus
    package var commitError: String?
    /// The workspace's commit that the session's were last put on top of, or are being put.
    package var baseCommit: String?
    /// The workspace's commit after the session's last ones have landed.
    package var appliedCommit: String?
    package var errorMessage: String?
    package var workspacePath: String?
    package var workspaceCommit: String?
    /// Name of the provider of its sandbox; nil before the first preparation.
    package var sandboxProvider: String?
    /// How the present or last preparation went.
    package var stages: [SessionStage]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    /// The session's own commit up to which everything has landed.
    package var landedCommit: String?
    /// What is being done to the workspace; nil for nothing.
    package var landing: CommitLanding?

    package init(
        id: ID<Session>,
        projectID: ID<Project>,
        workspaceID: ID<Workspace>,
        agentID: ID<Agent>? = nil,
        name: String,
        displayName: String? = nil,
        description: String? = nil,
        status: SessionStatus = .initializing,
        commitStatus: CommitStatus = .none,
        commitError: String? = nil,
        baseCommit: String? = nil,
        appliedCommit: String? = nil,
        errorMessage: String? = nil,
        workspacePath: String? = nil,
        workspaceCommit: String? = nil,
        sandboxProvider: String? = nil,
        stages: [SessionStage] = [],
        createdAt: Timestamp,
        updatedAt: Timestamp,
        landedCommit: String? = nil,
        landing: CommitLanding? = nil
    ) {
        self.id = id
        self.projectID = projectID
        self.workspaceID = workspaceID
        self.agentID = agentID
        self.name = name
        self.displayName = displayName
        self.description = description
        self.status = status
        self.commitStatus = commitStatus
        self.commitError = commitError
        self.baseCommit = baseCommit
        self.appliedCommit = appliedCommit
        self.errorMessage = errorMessage
        self.workspacePath = workspacePath
        self.workspaceCommit = workspaceCommit
        self.sandboxProvider = sandboxProvider
        self.stages = stages
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.landedCommit = landedCommit
        self.landing = landing
    }
}

/// A step that is written down before it is done, so that whoever comes after a kill knows of it.
package struct CommitLanding: Sendable, Equatable, Codable {
    /// The workspace's commit before and after.
    package let from: String
    package let to: String
    /// The session's own last commit.
    package let session: String

    package init(from: String, to: String, session: String) {
        self.from = from
        self.to = to
        self.session = session
    }
}

/// A part of a session's preparation.
package struct SessionStage: Sendable, Equatable, Codable {
    /// The status the session had meanwhile.
    package let stage: String
    package let startedAt: Timestamp
    /// Nil while it lasts.
    package var durationMs: Int64?

    package init(stage: String, startedAt: Timestamp) {
        self.stage = stage
        self.startedAt = startedAt
    }
}

extension Session {
    /// Takes note that its commits are in the workspace.
    package mutating func land(_ landing: CommitLanding) {
        appliedCommit = landing.to
        landedCommit = landing.session
        self.landing = nil
    }

    /// Takes a new status, and notes the time where that begins or ends a stage of preparation.
    package mutating func become(_ next: SessionStatus, at time: Timestamp = .now) {
        if next == .initializing || next == .reinitializing { stages = [] }
        if next != status, var last = stages.last, last.durationMs == nil {
            last.durationMs = time.milliseconds - last.startedAt.milliseconds
            stages[stages.count - 1] = last
        }
        if next.isPreparing, stages.last?.stage != next.rawValue {
            stages.append(SessionStage(stage: next.rawValue, startedAt: time))
        }
        if next != .error { errorMessage = nil }
        status = next
        updatedAt = time
    }
}
