// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials

extension Transaction {
    /// Which sessions a list is about.
    package enum SessionScope: Sendable {
        case project(ID<Project>)
        /// `includingClosed`: also those whose commits have landed.
        case workspace(ID<Workspace>, includingClosed: Bool)

        fileprivate var condition: SQL {
            switch self {
            case .project(let id): "project_id = \(id)"
            case .workspace(let id, includingClosed: true): "workspace_id = \(id)"
            case .workspace(let id, includingClosed: false):
                "workspace_id = \(id) AND commit_status <> \(CommitStatus.completed)"
            }
        }
    }

    /// One page of sessions, newest first.
    package func sessions(in scope: SessionScope, page: PageRequest) throws -> Page<Session> {
        let position: SQL = page.after.map { "AND (created_at, id) < (\($0.time), \($0.id))" } ?? ""
        let found = try rows(
            """
            SELECT \(Session.columns) FROM sessions WHERE \(scope.condition) \(position)
            ORDER BY created_at DESC, id DESC LIMIT \(page.limit + 1)
            """
        ).map(Session.init)
        let elements = Array(found.prefix(page.limit))
        let next = found.count > page.limit ? elements.last : nil
        return Page(elements: elements, next: next.map { PageCursor(time: $0.createdAt, id: $0.id.rawValue) })
    }

    /// Nil when there is none with this id in this project.
    package func session(_ id: ID<Session>, of project: ID<Project>) throws -> Session? {
        try row("SELECT \(Session.columns) FROM sessions WHERE id = \(id) AND project_id = \(project)")
            .map(Session.init)
    }

    /// Whatever the project; nil when there is none.
    package func session(_ id: ID<Session>) throws -> Session? {
        try row("SELECT \(Session.columns) FROM sessions WHERE id = \(id)").map(Session.init)
    }

    /// The one session whose id is this but for the case of letters; nil for none or several.
    package func session(ignoringCase id: String) throws -> Session? {
        let found = try rows("SELECT \(Session.columns) FROM sessions WHERE lower(id) = \(id.lowercased()) LIMIT 2")
        return try found.count == 1 ? found.first.map(Session.init) : nil
    }

    /// The ids that some host names cannot hold as they are.
    package func awkwardSessionIDs(limit: Int) throws -> [ID<Session>] {
        try rows(
            """
            SELECT id FROM sessions WHERE length(id) >= 26 OR id <> lower(id) OR id LIKE '-%' OR id LIKE 'xn--%'
                OR id LIKE '%-svc%' LIMIT \(limit)
            """
        ).map { try $0.value("id") }
    }

    /// Moves a session on that is ready, so that it does not count as idle.
    package func noteUse(of id: ID<Session>, at time: Timestamp) throws {
        try execute("UPDATE sessions SET updated_at = \(time) WHERE id = \(id) AND status = 'ready'")
    }

    package func insert(_ session: Session) throws {
        try execute(
            """
            INSERT INTO sessions (\(Session.columns))
            VALUES (\(session.id), \(session.projectID), \(session.workspaceID), \(session.agentID), \(session.name),
                \(session.displayName), \(session.description), \(session.status), \(session.commitStatus),
                \(session.commitError), \(session.baseCommit), \(session.appliedCommit), \(session.errorMessage),
                \(session.workspacePath), \(session.workspaceCommit), \(session.sandboxProvider),
                \(try session.storedStages()), \(session.createdAt), \(session.updatedAt), \(session.landedCommit),
                \(try session.storedLanding()))
            """
        )
    }

    /// Stores everything of the session that can change.
    package func update(_ session: Session) throws {
        try execute(
            """
            UPDATE sessions SET name = \(session.name), display_name = \(session.displayName),
                status = \(session.status), agent_id = \(session.agentID), commit_status = \(session.commitStatus),
                commit_error = \(session.commitError), base_commit = \(session.baseCommit),
                applied_commit = \(session.appliedCommit), landed_commit = \(session.landedCommit),
                landing = \(try session.storedLanding()),
                error_message = \(session.errorMessage), workspace_path = \(session.workspacePath),
                workspace_commit = \(session.workspaceCommit), sandbox_provider = \(session.sandboxProvider),
                stages = \(try session.storedStages()),
                updated_at = \(session.updatedAt)
            WHERE id = \(session.id)
            """
        )
    }

    /// The secret of the session's sandbox as it was stored, sealed; nil when it has none yet.
    package func sandboxSecret(of id: ID<Session>) throws -> String? {
        try row("SELECT sandbox_secret FROM sessions WHERE id = \(id)")?.value("sandbox_secret")
    }

    package func setSandboxSecret(_ sealed: String, of id: ID<Session>) throws {
        try execute("UPDATE sessions SET sandbox_secret = \(sealed) WHERE id = \(id)")
    }

    /// Sessions that are ready since before `time` and have nothing to do, with their projects.
    package func idleSessions(since time: Timestamp, limit: Int) throws -> [Session] {
        try rows(
            """
            SELECT \(Session.columns) FROM sessions
            WHERE status = 'ready' AND updated_at < \(time) AND NOT EXISTS (
                SELECT 1 FROM turns WHERE turns.session_id = sessions.id AND turns.status IN ('queued', 'running'))
            ORDER BY updated_at LIMIT \(limit)
            """
        ).map(Session.init)
    }

    /// Sessions that count on their sandbox to run.
    package func sessionsWithSandboxes() throws -> [Session] {
        try rows("SELECT \(Session.columns) FROM sessions WHERE status IN ('ready', 'running')").map(Session.init)
    }

    /// Sessions that are being removed, with those on whose removal nobody works.
    package func removingSessions() throws -> [Session] {
        try rows("SELECT \(Session.columns) FROM sessions WHERE status = 'removing'").map(Session.init)
    }

    /// Sessions whose commits are half way into the working copy at a path, also those of other workspaces with it.
    package func landingSessions(at path: String) throws -> [Session] {
        try rows("SELECT \(Session.columns) FROM sessions WHERE landing IS NOT NULL AND workspace_path = \(path)")
            .map(Session.init)
    }

    /// All sessions of a workspace.
    package func sessions(of workspace: ID<Workspace>) throws -> [Session] {
        try rows("SELECT \(Session.columns) FROM sessions WHERE workspace_id = \(workspace)").map(Session.init)
    }

    /// Whether any session of the workspace has had a sandbox.
    package func hasSandboxes(_ workspace: ID<Workspace>) throws -> Bool {
        try row(
            "SELECT 1 AS found FROM sessions WHERE workspace_id = \(workspace) AND sandbox_provider IS NOT NULL LIMIT 1"
        ) != nil
    }

    /// All sessions of a project.
    package func allSessions(of project: ID<Project>) throws -> [Session] {
        try rows("SELECT \(Session.columns) FROM sessions WHERE project_id = \(project)").map(Session.init)
    }

    /// Removes the session with its conversation and terminal history; false when it is gone already.
    @discardableResult
    package func deleteSession(_ id: ID<Session>) throws -> Bool {
        // Whoever follows one of them must hear that it is gone.
        let open = try rows("SELECT id FROM turns WHERE session_id = \(id) AND status IN ('queued', 'running')")
        news.turns.formUnion(try open.map { try $0.value("id") })
        try execute("DELETE FROM turn_chunks WHERE turn_id IN (SELECT id FROM turns WHERE session_id = \(id))")
        try execute("DELETE FROM turns WHERE session_id = \(id)")
        try execute("DELETE FROM messages WHERE session_id = \(id)")
        try execute("DELETE FROM terminal_history WHERE session_id = \(id)")
        return try execute("DELETE FROM sessions WHERE id = \(id)") > 0
    }
}

extension Session {
    static let columns: SQL =
        """
        id, project_id, workspace_id, agent_id, name, display_name, description, status, commit_status, commit_error,
        base_commit, applied_commit, error_message, workspace_path, workspace_commit, sandbox_provider, stages, created_at,
        updated_at, landed_commit, landing
        """

    fileprivate func storedLanding() throws -> String? {
        try landing.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }
    }

    fileprivate func storedStages() throws -> String {
        String(decoding: try JSONEncoder().encode(stages), as: UTF8.self)
    }

    fileprivate init(_ row: SQLRow) throws {
        let stages: String = try row.value("stages")
        let landing: String? = try row.value("landing")
        self.init(
            id: try row.value("id"),
            projectID: try row.value("project_id"),
            workspaceID: try row.value("workspace_id"),
            agentID: try row.value("agent_id"),
            name: try row.value("name"),
            displayName: try row.value("display_name"),
            description: try row.value("description"),
            status: try row.value("status"),
            commitStatus: try row.value("commit_status"),
            commitError: try row.value("commit_error"),
            baseCommit: try row.value("base_commit"),
            appliedCommit: try row.value("applied_commit"),
            errorMessage: try row.value("error_message"),
            workspacePath: try row.value("workspace_path"),
            workspaceCommit: try row.value("workspace_commit"),
            sandboxProvider: try row.value("sandbox_provider"),
            stages: stages == "[]" ? [] : try JSONDecoder().decode([SessionStage].self, from: Data(stages.utf8)),
            createdAt: try row.value("created_at"),
            updatedAt: try row.value("updated_at"),
            landedCommit: try row.value("landed_commit"),
            landing: try landing.map { try JSONDecoder().decode(CommitLanding.self, from: Data($0.utf8)) }
        )
    }
}
