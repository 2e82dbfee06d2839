// SPDX-License-Identifier: Apache-2.0

/// Work that outlives the request that asked for it, as a row.
package struct Job: Sendable, Equatable {
    /// What kind of work it is; the stored text is part of the contract.
    package struct Kind: Hashable, Sendable, RawRepresentable, ExpressibleByStringLiteral {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }
        package init(stringLiteral value: String) { rawValue = value }
    }

    /// What the work is about: at most one job at a time runs on a resource.
    package struct Resource: Hashable, Sendable {
        package let type: String
        package let id: String

        package init(type: String, id: String) {
            self.type = type
            self.id = id
        }

        package static func project(_ id: ID<Project>) -> Resource { Resource(type: "project", id: id.rawValue) }
        package static func workspace(_ id: ID<Workspace>) -> Resource { Resource(type: "workspace", id: id.rawValue) }
        package static func session(_ id: ID<Session>) -> Resource { Resource(type: "session", id: id.rawValue) }
        /// What takes the commits of a session to its workspace, which may need a turn of the session.
        package static func commit(_ id: ID<Session>) -> Resource { Resource(type: "commit", id: id.rawValue) }
        /// The turns of a session, which go on beside work on its sandbox.
        package static func conversation(_ id: ID<Session>) -> Resource {
            Resource(type: "conversation", id: id.rawValue)
        }
    }

    package let id: ID<Job>
    package let kind: Kind
    package let projectID: ID<Project>
    package let resource: Resource?
    /// JSON of the handler's payload.
    package let payload: String
    package let status: JobStatus
    package let attempts: Int
    package let maxAttempts: Int
    /// Grows with every claim; a worker that holds an older number has lost the job.
    package let fence: Int
    /// Whether somebody wants the running job stopped.
    package let isCancelRequested: Bool

    package init(
        id: ID<Job>,
        kind: Kind,
        projectID: ID<Project>,
        resource: Resource?,
        payload: String,
        status: JobStatus,
        attempts: Int,
        maxAttempts: Int,
        fence: Int,
        isCancelRequested: Bool
    ) {
        self.id = id
        self.kind = kind
        self.projectID = projectID
        self.resource = resource
        self.payload = payload
        self.status = status
        self.attempts = attempts
        self.maxAttempts = maxAttempts
        self.fence = fence
        self.isCancelRequested = isCancelRequested
    }
}
