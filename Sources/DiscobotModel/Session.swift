// SPDX-License-Identifier: Apache-2.0

/// One conversation of a user with an agent about a workspace.
package struct Session: Sendable, Equatable {
    package let id: ID<Session>
    package let projectID: ID<Project>
    package let workspaceID: ID<Workspace>
    package let agentID: ID<Agent>?
    package var name: String
    package var displayName: String?
    package let description: String?
    package var status: SessionStatus
    package let commitStatus: CommitStatus
    package let commitError: String?
    package let baseCommit: String?
    package let appliedCommit: String?
    package let errorMessage: String?
    package let workspacePath: String?
    package let workspaceCommit: String?
    package let createdAt: Timestamp
    package var updatedAt: Timestamp

    package init(
        id: ID<Session>,
        projectID: ID<Project>,
        workspaceID: ID<Workspace>,
        agentID: ID<Agent>?,
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
        createdAt: Timestamp,
        updatedAt: Timestamp
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
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
