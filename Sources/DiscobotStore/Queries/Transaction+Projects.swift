// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// The projects that a user is member of, oldest first.
    package func projects(of user: ID<User>) throws -> [Project] {
        try rows(
            """
            SELECT \(Project.columns) FROM projects JOIN project_members ON project_members.project_id = projects.id
            WHERE project_members.user_id = \(user) ORDER BY projects.created_at, projects.id
            """
        ).map(Project.init)
    }

    package func project(_ id: ID<Project>) throws -> Project? {
        try row("SELECT \(Project.columns) FROM projects WHERE id = \(id)").map(Project.init)
    }

    /// The user's role in the project; nil for anybody else and for a project that does not exist.
    package func role(of user: ID<User>, in project: ID<Project>) throws -> ProjectRole? {
        try row("SELECT role FROM project_members WHERE project_id = \(project) AND user_id = \(user)")?.value("role")
    }

    package func members(of project: ID<Project>) throws -> [ProjectMember] {
        try rows(
            """
            SELECT project_members.id AS member_id, project_id, user_id, role, invited_at, accepted_at, \(User.columns)
            FROM project_members JOIN users ON users.id = project_members.user_id
            WHERE project_id = \(project) ORDER BY project_members.created_at, project_members.id
            """
        ).map(ProjectMember.init)
    }

    /// Stores a project with its owner; false when the id or slug is taken.
    @discardableResult
    package func insert(_ project: Project, owner: ID<User>) throws -> Bool {
        let inserted = try execute(
            """
            INSERT INTO projects (id, name, slug, created_at, updated_at)
            VALUES (\(project.id), \(project.name), \(project.slug), \(project.createdAt), \(project.updatedAt))
            ON CONFLICT DO NOTHING
            """
        )
        guard inserted > 0 else { return false }
        try execute(
            """
            INSERT INTO project_members (id, project_id, user_id, role, accepted_at, created_at, updated_at)
            VALUES (\(ID<ProjectMember>.random()), \(project.id), \(owner), \(ProjectRole.owner), \(project.createdAt),
                \(project.createdAt), \(project.createdAt))
            """
        )
        return true
    }

    package func rename(_ project: ID<Project>, to name: String, at time: Timestamp) throws {
        try execute("UPDATE projects SET name = \(name), updated_at = \(time) WHERE id = \(project)")
    }

    /// Removes the project and all its rows, children first, and stops its jobs.
    package func delete(_ project: ID<Project>) throws {
        try cancelJobs(of: project)
        for session in try allSessions(of: project) { try deleteSession(session.id) }
        let agents: SQL = "(SELECT id FROM agents WHERE project_id = \(project))"
        try execute("DELETE FROM workspaces WHERE project_id = \(project)")
        try execute("DELETE FROM agent_mcp_servers WHERE agent_id IN \(agents)")
        try execute("DELETE FROM agents WHERE project_id = \(project)")
        try execute("DELETE FROM project_invitations WHERE project_id = \(project)")
        try execute("DELETE FROM credentials WHERE project_id = \(project)")
        try execute("DELETE FROM project_members WHERE project_id = \(project)")
        try execute("DELETE FROM project_events WHERE project_id = \(project)")
        try execute("DELETE FROM projects WHERE id = \(project)")
        news.projects.insert(project)
    }
}

extension Project {
    static let columns: SQL = "projects.id, projects.name, slug, projects.created_at, projects.updated_at"

    fileprivate init(_ row: SQLRow) throws {
        self.init(
            id: try row.value("id"),
            name: try row.value("name"),
            slug: try row.value("slug"),
            createdAt: try row.value("created_at"),
            updatedAt: try row.value("updated_at")
        )
    }
}

extension ProjectMember {
    fileprivate init(_ row: SQLRow) throws {
        self.init(
            id: try row.value("member_id"),
            projectID: try row.value("project_id"),
            user: try User(row, idColumn: "user_id"),
            role: try row.value("role"),
            invitedAt: try row.value("invited_at"),
            acceptedAt: try row.value("accepted_at")
        )
    }
}
