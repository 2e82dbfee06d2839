// SPDX-License-Identifier: Apache-2.0

/// What members share: workspaces, sessions, agents, credentials.
package struct Project: Sendable, Equatable {
    package let id: ID<Project>
    package var name: String
    package let slug: String
    package let createdAt: Timestamp
    package var updatedAt: Timestamp

    package init(id: ID<Project>, name: String, slug: String, createdAt: Timestamp, updatedAt: Timestamp) {
        self.id = id
        self.name = name
        self.slug = slug
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    /// The project of the single-user default; seeded at each start.
    package static let localID: ID<Project> = "local"

    /// Lower-cased name with each run of other characters than a–z and 0–9 as one `-`, then `-` and the suffix.
    package static func slug(name: String, suffix: String) -> String {
        let words = name.lowercased().split { !$0.isASCII || !($0.isLetter || $0.isNumber) }
        return (words + [suffix[...]]).joined(separator: "-")
    }
}

/// What a member may do; the order of the cases is the order of power.
package enum ProjectRole: String, Sendable, CaseIterable, Comparable {
    case member, admin, owner

    package static func < (left: ProjectRole, right: ProjectRole) -> Bool {
        let order = allCases
        return (order.firstIndex(of: left) ?? 0) < (order.firstIndex(of: right) ?? 0)
    }
}

/// A user's place in a project.
package struct ProjectMember: Sendable, Equatable {
    package let id: ID<ProjectMember>
    package let projectID: ID<Project>
    package let user: User
    package let role: ProjectRole
    package let invitedAt: Timestamp?
    package let acceptedAt: Timestamp?

    package init(
        id: ID<ProjectMember>,
        projectID: ID<Project>,
        user: User,
        role: ProjectRole,
        invitedAt: Timestamp?,
        acceptedAt: Timestamp?
    ) {
        self.id = id
        self.projectID = projectID
        self.user = user
        self.role = role
        self.invitedAt = invitedAt
        self.acceptedAt = acceptedAt
    }
}
