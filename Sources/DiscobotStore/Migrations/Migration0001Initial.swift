// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// All nouns of the first release. Times are milliseconds since 1970, booleans 0 or 1, JSON is text.
    static let initial = Migration(name: "0001-initial", statements: people + work + conversations + engine)

    private static let people: [SQL] = [
        """
        CREATE TABLE users (
            id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            name TEXT,
            avatar_url TEXT,
            provider TEXT NOT NULL,
            provider_id TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            UNIQUE (provider, provider_id)
        )
        """,
        """
        CREATE TABLE user_sessions (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES users (id),
            token_hash TEXT NOT NULL UNIQUE,
            expires_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL
        )
        """,
        """
        CREATE TABLE user_preferences (
            user_id TEXT NOT NULL REFERENCES users (id),
            key TEXT NOT NULL CHECK (key <> ''),
            value TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            PRIMARY KEY (user_id, key)
        )
        """,
        // The number of the last event lives here, so that drawing the next one locks the project until the commit:
        // numbers are in the order of commits and have no holes.
        """
        CREATE TABLE projects (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            slug TEXT NOT NULL UNIQUE,
            last_event_sequence BIGINT NOT NULL DEFAULT 0,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        """
        CREATE TABLE project_members (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            user_id TEXT NOT NULL REFERENCES users (id),
            role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
            invited_by TEXT REFERENCES users (id),
            invited_at BIGINT,
            accepted_at BIGINT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            UNIQUE (project_id, user_id)
        )
        """,
        "CREATE INDEX project_members_by_user ON project_members (user_id)",
        """
        CREATE TABLE project_invitations (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            email TEXT NOT NULL,
            role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
            invited_by TEXT NOT NULL REFERENCES users (id),
            token_hash TEXT NOT NULL UNIQUE,
            expires_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            UNIQUE (project_id, email)
        )
        """,
    ]

    private static let work: [SQL] = [
        """
        CREATE TABLE agents (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            name TEXT NOT NULL CHECK (name <> ''),
            description TEXT NOT NULL,
            agent_type TEXT NOT NULL,
            system_prompt TEXT,
            is_default BIGINT NOT NULL CHECK (is_default IN (0, 1)),
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX agents_by_project ON agents (project_id)",
        "CREATE UNIQUE INDEX agents_one_default ON agents (project_id) WHERE is_default = 1",
        """
        CREATE TABLE agent_mcp_servers (
            id TEXT PRIMARY KEY,
            agent_id TEXT NOT NULL REFERENCES agents (id),
            position BIGINT NOT NULL,
            name TEXT NOT NULL CHECK (name <> ''),
            config TEXT NOT NULL,
            enabled BIGINT NOT NULL CHECK (enabled IN (0, 1)),
            created_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX agent_mcp_servers_by_agent ON agent_mcp_servers (agent_id, position)",
        """
        CREATE TABLE workspaces (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            path TEXT NOT NULL CHECK (path <> ''),
            display_name TEXT,
            source_type TEXT NOT NULL CHECK (source_type IN ('local', 'git')),
            provider TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('initializing', 'cloning', 'ready', 'error')),
            error_message TEXT,
            commit_sha TEXT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX workspaces_by_project ON workspaces (project_id, created_at, id)",
        """
        CREATE TABLE credentials (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            provider TEXT NOT NULL,
            name TEXT NOT NULL,
            auth_type TEXT NOT NULL CHECK (auth_type IN ('api_key', 'oauth')),
            encrypted_data TEXT NOT NULL,
            is_configured BIGINT NOT NULL CHECK (is_configured IN (0, 1)),
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            UNIQUE (project_id, provider)
        )
        """,
    ]

    private static let conversations: [SQL] = [
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            project_id TEXT NOT NULL REFERENCES projects (id),
            workspace_id TEXT NOT NULL REFERENCES workspaces (id),
            agent_id TEXT REFERENCES agents (id),
            name TEXT NOT NULL,
            display_name TEXT,
            description TEXT,
            status TEXT NOT NULL CHECK (status IN ('initializing', 'reinitializing', 'cloning', 'pulling_image',
                'creating_sandbox', 'ready', 'running', 'stopped', 'error', 'removing')),
            commit_status TEXT NOT NULL DEFAULT ''
                CHECK (commit_status IN ('', 'pending', 'committing', 'completed', 'failed')),
            commit_error TEXT,
            base_commit TEXT,
            applied_commit TEXT,
            error_message TEXT,
            workspace_path TEXT,
            workspace_commit TEXT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX sessions_by_project ON sessions (project_id, created_at, id)",
        "CREATE INDEX sessions_by_workspace ON sessions (workspace_id, created_at, id)",
        "CREATE INDEX sessions_by_agent ON sessions (agent_id)",
        """
        CREATE TABLE messages (
            id TEXT NOT NULL,
            session_id TEXT NOT NULL REFERENCES sessions (id),
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
            parts TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            PRIMARY KEY (session_id, id)
        )
        """,
        """
        CREATE TABLE terminal_history (
            id TEXT PRIMARY KEY,
            session_id TEXT NOT NULL REFERENCES sessions (id),
            entry_type TEXT NOT NULL,
            content TEXT NOT NULL,
            exit_code BIGINT,
            created_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX terminal_history_by_session ON terminal_history (session_id, created_at, id)",
    ]

    private static let engine: [SQL] = [
        """
        CREATE TABLE project_events (
            project_id TEXT NOT NULL REFERENCES projects (id),
            sequence BIGINT NOT NULL,
            type TEXT NOT NULL,
            data TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            PRIMARY KEY (project_id, sequence)
        )
        """,
        // No reference to the project: the work of cleaning up after one outlives it.
        """
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            type TEXT NOT NULL,
            project_id TEXT NOT NULL,
            resource_type TEXT,
            resource_id TEXT,
            payload TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
            priority BIGINT NOT NULL,
            attempts BIGINT NOT NULL DEFAULT 0,
            max_attempts BIGINT NOT NULL CHECK (max_attempts > 0),
            fence BIGINT NOT NULL DEFAULT 0,
            cancel_requested BIGINT NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
            worker_id TEXT,
            lease_expires_at BIGINT,
            error TEXT,
            scheduled_at BIGINT NOT NULL,
            started_at BIGINT,
            completed_at BIGINT,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            CHECK ((status = 'running') = (lease_expires_at IS NOT NULL)),
            CHECK ((resource_type IS NULL) = (resource_id IS NULL))
        )
        """,
        """
        CREATE INDEX jobs_waiting ON jobs (type, project_id, priority DESC, scheduled_at, created_at, id)
            WHERE status = 'pending'
        """,
        "CREATE INDEX jobs_running ON jobs (type, project_id) WHERE status = 'running'",
        "CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE status = 'running'",
        "CREATE UNIQUE INDEX jobs_one_running ON jobs (resource_type, resource_id) WHERE status = 'running'",
        "CREATE INDEX jobs_by_resource ON jobs (resource_type, resource_id) WHERE status IN ('pending', 'running')",
        "CREATE INDEX jobs_ended ON jobs (completed_at) WHERE completed_at IS NOT NULL",
        // Who does what only one server may do; one row for each such duty.
        """
        CREATE TABLE dispatcher_leader (
            id TEXT PRIMARY KEY,
            server_id TEXT NOT NULL,
            heartbeat_at BIGINT NOT NULL,
            acquired_at BIGINT NOT NULL
        )
        """,
    ]
}
