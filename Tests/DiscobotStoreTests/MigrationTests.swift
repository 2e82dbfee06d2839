// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(5)))
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
                for statement in Self.rows { try connection.execute(statement) }
            }
            let store = try await Store(database)
            let project = try await store.read { try $0.project("p") }
            #expect(project?.name == "Kept")
            let events = try await store.read { try $0.events(of: "p", after: 0, limit: 10) }
            #expect(events.map(\.type) == ["workspace_updated"])
        }
    }

    /// As the first release wrote them.
    private static let rows: [SQL] = [
        """
        INSERT INTO users (id, email, provider, provider_id, created_at, updated_at)
        VALUES ('u', 'u@localhost', 'local', 'u', 1, 1)
        """,
        """
        INSERT INTO projects (id, name, slug, last_event_sequence, created_at, updated_at)
        VALUES ('p', 'Kept', 'kept', 1, 1, 1)
        """,
        """
        INSERT INTO project_events (project_id, sequence, type, data, created_at)
        VALUES ('p', 1, 'workspace_updated', '{}', 1)
        """,
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
