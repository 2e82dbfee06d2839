// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct MigrationTests {
    @Test
    func `names are unique and in order`() {
        let names = Migrations.all.map(\.name)
        #expect(names == names.sorted())
        #expect(Set(names).count == names.count)
    }

    @Test(arguments: StoreBackend.allCases)
    func `an empty database gets the newest schema, once`(backend: StoreBackend) async throws {
        try await backend.withDatabase { database in
            try await Migrations.run(on: database)
            try await Migrations.run(on: database)
            let applied = try await database.read { try $0.rows("SELECT name FROM schema_migrations").count }
            #expect(applied == Migrations.all.count)
        }
    }

    @Test(arguments: StoreBackend.allCases, Migrations.all.map(\.name))
    func `rows of each earlier schema survive`(backend: StoreBackend, name: String) async throws {
        try await backend.withDatabase { database in
            let migration = try #require(Migrations.all.first { $0.name == name })
            try await Migrations.run(on: database, through: migration)
            try await database.write { connection in
                for row in Self.rows { try connection.execute(row.insertion) }
            }
            let before = try await Self.contents(of: database)
            try await Migrations.run(on: database)
            #expect(try await Self.contents(of: database) == before)
            #expect(before.allSatisfy { $0.count == 1 })

            let store = try await Store(database)
            let project = try await store.read { try $0.project("p") }
            #expect(project?.name == "Kept")
            let events = try await store.read { try $0.events(of: "p", after: 0, limit: 10) }
            #expect(events.map(\.type) == ["workspace_updated"])
            let session = try await store.read { try $0.session("s", of: "p") }
            #expect(session?.name == "Session")
        }
    }

    @Test
    func `the rows of the first schema are in every table`() {
        let tables = Migration.initial.statements.compactMap { statement -> String? in
            let words = statement.text.split(whereSeparator: \.isWhitespace)
            return words.starts(with: ["CREATE", "TABLE"]) ? String(words[2]) : nil
        }
        #expect(Set(Self.rows.map(\.table)) == Set(tables))
    }

    /// A row as the first release wrote it.
    private struct Row {
        let table: String
        let columns: String
        let values: String

        init(_ table: String, _ columns: String, _ values: String) {
            self.table = table
            self.columns = columns
            self.values = values
        }

        var insertion: SQL { SQL(stringLiteral: "INSERT INTO \(table) (\(columns)) VALUES (\(values))") }
        var selection: SQL { SQL(stringLiteral: "SELECT \(columns) FROM \(table)") }
    }

    /// The values of the first schema's columns, table by table.
    private static func contents(of database: any Database) async throws -> [[[SQLValue]]] {
        try await database.read { connection in
            try rows.map { try connection.rows($0.selection).map(\.values) }
        }
    }

    /// Parents first.
    private static let rows = [
        Row("users", "id, email, provider, provider_id, created_at, updated_at", "'u', 'u@host', 'local', 'u', 1, 1"),
        Row("user_sessions", "id, user_id, token_hash, expires_at, created_at", "'us', 'u', 'hash', 9, 1"),
        Row("user_preferences", "user_id, key, value, created_at, updated_at", "'u', 'key', 'value', 1, 1"),
        Row(
            "projects",
            "id, name, slug, last_event_sequence, created_at, updated_at",
            "'p', 'Kept', 'kept', 1, 1, 1"
        ),
        Row("project_members", "id, project_id, user_id, role, created_at, updated_at", "'m', 'p', 'u', 'owner', 1, 1"),
        Row(
            "project_invitations",
            "id, project_id, email, role, invited_by, token_hash, expires_at, created_at",
            "'i', 'p', 'v@host', 'member', 'u', 'hash', 9, 1"
        ),
        Row(
            "agents",
            "id, project_id, name, description, agent_type, system_prompt, is_default, created_at, updated_at",
            "'a', 'p', 'Agent', '', 'shell', 'Be kind', 1, 1, 1"
        ),
        Row(
            "agent_mcp_servers",
            "id, agent_id, position, name, config, enabled, created_at",
            #"'ms', 'a', 0, 'files', '{"type":"stdio","command":"run"}', 1, 1"#
        ),
        Row(
            "workspaces",
            "id, project_id, path, source_type, provider, status, commit_sha, created_at, updated_at",
            "'w', 'p', '/repository', 'local', '', 'ready', 'abc', 1, 1"
        ),
        Row(
            "credentials",
            "id, project_id, provider, name, auth_type, encrypted_data, is_configured, created_at, updated_at",
            "'c', 'p', 'anthropic', 'Key', 'api_key', 'x', 1, 1, 1"
        ),
        Row(
            "sessions",
            "id, project_id, workspace_id, agent_id, name, status, base_commit, created_at, updated_at",
            "'s', 'p', 'w', 'a', 'Session', 'ready', 'abc', 1, 1"
        ),
        Row("messages", "id, session_id, role, parts, created_at", "'m', 's', 'user', '[]', 1"),
        Row("terminal_history", "id, session_id, entry_type, content, created_at", "'t', 's', 'input', 'ls', 1"),
        Row("project_events", "project_id, sequence, type, data, created_at", "'p', 1, 'workspace_updated', '{}', 1"),
        Row(
            "jobs",
            "id, type, project_id, payload, status, priority, max_attempts, scheduled_at, created_at, updated_at",
            "'j', 'session_delete', 'p', '{}', 'pending', 10, 3, 1, 1, 1"
        ),
        Row("dispatcher_leader", "id, server_id, heartbeat_at, acquired_at", "'duty', 'server', 1, 1"),
    ]

    @Test(arguments: StoreBackend.allCases)
    func `a database of a newer server is refused`(backend: StoreBackend) async throws {
        try await backend.withDatabase { database in
            try await Migrations.run(on: database)
            try await database.write {
                _ = try $0.execute("INSERT INTO schema_migrations VALUES ('9999-future', 1)")
            }
            let error = await #expect(throws: ServerError.self) { try await Store(database) }
            #expect(error?.message.contains("9999-future") == true)
        }
    }
}
