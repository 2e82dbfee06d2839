// SPDX-License-Identifier: Apache-2.0

/// A git repository that sessions start from.
package struct Workspace: Sendable, Equatable {
    package enum SourceType: String, Sendable, CaseIterable {
        /// A repository on this machine, used where it is.
        case local
        /// A remote repository, cloned by the server.
        case git
    }

    /// What the workspace's sandboxes may reach.
    package enum Network: String, Sendable, Codable, CaseIterable {
        /// Nothing.
        case none
        /// Other machines, but nothing on this one.
        case internet
        /// What the host reaches, its loopback interface included.
        case host
    }

    package let id: ID<Workspace>
    package let projectID: ID<Project>
    /// Directory of a local workspace, URL of a remote one.
    package var path: String
    package var displayName: String?
    package var sourceType: SourceType
    /// Name of the sandbox provider; empty for the server's default.
    package let provider: String
    package var network: Network
    package var limits: Limits
    package var status: WorkspaceStatus
    package var errorMessage: String?
    package var commit: String?
    package let createdAt: Timestamp
    package var updatedAt: Timestamp

    package init(
        id: ID<Workspace>,
        projectID: ID<Project>,
        path: String,
        displayName: String?,
        sourceType: SourceType,
        provider: String,
        network: Network = .internet,
        limits: Limits = Limits(),
        status: WorkspaceStatus,
        errorMessage: String?,
        commit: String?,
        createdAt: Timestamp,
        updatedAt: Timestamp
    ) {
        self.id = id
        self.projectID = projectID
        self.path = path
        self.displayName = displayName
        self.sourceType = sourceType
        self.provider = provider
        self.network = network
        self.limits = limits
        self.status = status
        self.errorMessage = errorMessage
        self.commit = commit
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
