// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials

extension Transaction {
    /// The workspaces of a project, oldest first.
    package func workspaces(of project: ID<Project>) throws -> [Workspace] {
        try rows(
            "SELECT \(Workspace.columns) FROM workspaces WHERE project_id = \(project) ORDER BY created_at, id"
        ).map(Workspace.init)
    }

    /// Nil when there is none with this id in this project.
    package func workspace(_ id: ID<Workspace>, of project: ID<Project>) throws -> Workspace? {
        try row("SELECT \(Workspace.columns) FROM workspaces WHERE id = \(id) AND project_id = \(project)")
            .map(Workspace.init)
    }

    package func insert(_ workspace: Workspace) throws {
        try execute(
            """
            INSERT INTO workspaces (\(Workspace.columns))
            VALUES (\(workspace.id), \(workspace.projectID), \(workspace.path), \(workspace.displayName),
                \(workspace.sourceType), \(workspace.provider), \(workspace.network), \(try workspace.storedLimits()),
                \(workspace.status), \(workspace.errorMessage), \(workspace.commit), \(workspace.createdAt), \(workspace.updatedAt))
            """
        )
    }

    /// Stores everything of the workspace that can change; false when it is gone.
    @discardableResult
    package func update(_ workspace: Workspace) throws -> Bool {
        try execute(
            """
            UPDATE workspaces SET path = \(workspace.path), display_name = \(workspace.displayName),
                source_type = \(workspace.sourceType), network = \(workspace.network),
                limits = \(try workspace.storedLimits()), status = \(workspace.status), error_message = \(workspace.errorMessage), commit_sha = \(workspace.commit),
                updated_at = \(workspace.updatedAt)
            WHERE id = \(workspace.id)
            """
        ) > 0
    }

    /// Removes the workspace with its sessions and stops its jobs.
    package func delete(_ workspace: Workspace) throws {
        try cancelJobs(on: .workspace(workspace.id))
        for session in try sessions(of: workspace.id) {
            try cancelJobs(on: .session(session.id))
            try cancelJobs(on: .conversation(session.id))
            try cancelJobs(on: .commit(session.id))
            try deleteSession(session.id)
        }
        try execute("DELETE FROM workspaces WHERE id = \(workspace.id)")
    }
}

extension Workspace {
    static let columns: SQL =
        """
        id, project_id, path, display_name, source_type, provider, network, limits, status, error_message, commit_sha,
        created_at, updated_at
        """

    fileprivate func storedLimits() throws -> String {
        limits == Limits() ? "{}" : String(decoding: try JSONEncoder().encode(limits), as: UTF8.self)
    }

    fileprivate init(_ row: SQLRow) throws {
        let limits: String = try row.value("limits")
        self.init(
            id: try row.value("id"),
            projectID: try row.value("project_id"),
            path: try row.value("path"),
            displayName: try row.value("display_name"),
            sourceType: try row.value("source_type"),
            provider: try row.value("provider"),
            network: try row.value("network"),
            limits: limits == "{}" ? Limits() : try JSONDecoder().decode(Limits.self, from: Data(limits.utf8)),
            status: try row.value("status"),
            errorMessage: try row.value("error_message"),
            commit: try row.value("commit_sha"),
            createdAt: try row.value("created_at"),
            updatedAt: try row.value("updated_at")
        )
    }
}
