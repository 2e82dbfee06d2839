// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// Conversations: turns with the chunks of their answers, and what sessions need to run in sandboxes.
    static let turns = Migration(
        name: "0002-turns",
        statements: [
            "ALTER TABLE sessions ADD COLUMN sandbox_provider TEXT",
            "ALTER TABLE sessions ADD COLUMN sandbox_secret TEXT",
            "ALTER TABLE sessions ADD COLUMN stages TEXT NOT NULL DEFAULT '[]'",
            "CREATE INDEX sessions_by_status ON sessions (status, updated_at)",
            """
            ALTER TABLE workspaces ADD COLUMN network TEXT NOT NULL DEFAULT 'internet'
                CHECK (network IN ('none', 'internet', 'host'))
            """,
            "ALTER TABLE messages ADD COLUMN position BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE messages ADD COLUMN metadata TEXT",
            "CREATE INDEX messages_by_position ON messages (session_id, position)",
            """
            CREATE TABLE turns (
                id TEXT PRIMARY KEY,
                session_id TEXT NOT NULL REFERENCES sessions (id),
                position BIGINT NOT NULL,
                message_id TEXT NOT NULL,
                options TEXT NOT NULL,
                status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
                chunk_count BIGINT NOT NULL DEFAULT 0,
                has_chunks BIGINT NOT NULL DEFAULT 1 CHECK (has_chunks IN (0, 1)),
                cancel_requested BIGINT NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
                error TEXT,
                created_at BIGINT NOT NULL,
                started_at BIGINT,
                ended_at BIGINT,
                UNIQUE (session_id, position)
            )
            """,
            "CREATE UNIQUE INDEX turns_one_running ON turns (session_id) WHERE status = 'running'",
            "CREATE INDEX turns_open ON turns (session_id, position) WHERE status IN ('queued', 'running')",
            "CREATE INDEX turns_by_message ON turns (session_id, message_id)",
            "CREATE INDEX turns_ended ON turns (ended_at) WHERE ended_at IS NOT NULL AND has_chunks = 1",
            // Rows of several chunks: a stream of thousands costs a commit for each batch, not for each chunk.
            """
            CREATE TABLE turn_chunks (
                turn_id TEXT NOT NULL REFERENCES turns (id),
                first_sequence BIGINT NOT NULL,
                last_sequence BIGINT NOT NULL,
                lines TEXT NOT NULL,
                PRIMARY KEY (turn_id, first_sequence)
            )
            """,
        ]
    )
}
