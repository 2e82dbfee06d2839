// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// One step of the schema's history; never changed once released.
package struct Migration: Sendable {
    package let name: String
    let statements: [SQL]
}

/// Brings a database to the newest schema, one transaction for each step.
package enum Migrations {
    /// Append only.
    package static let all = [Migration.initial, .turns, .commits, .workspaceLimits, .openLandings]

    /// Runs what is missing, up to and including `last`; throws `ServerError`.
    package static func run(on database: any Database, through last: Migration? = nil) async throws {
        do {
            let applied = try await appliedNames(database)
            try check(applied)
            for migration in all where !applied.contains(migration.name) {
                try await apply(migration, to: database)
                if migration.name == last?.name { return }
            }
        } catch let error as DatabaseError {
            throw ServerError(
                .unavailable,
                "the database's schema cannot be brought up to date: \(error.message)",
                cause: error
            )
        }
    }

    private static func appliedNames(_ database: any Database) async throws -> [String] {
        try await database.write { connection in
            try connection.execute(
                """
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    name TEXT PRIMARY KEY,
                    applied_at BIGINT NOT NULL
                )
                """
            )
            return try connection.rows("SELECT name FROM schema_migrations ORDER BY name").map { try $0.value("name") }
        }
    }

    /// An older server must not write into a newer schema.
    private static func check(_ applied: [String]) throws {
        let known = Set(all.map(\.name))
        if let unknown = applied.first(where: { !known.contains($0) }) {
            throw ServerError(
                .unavailable,
                "the database was made by a newer server (it has the schema step \(unknown)); use that version"
            )
        }
    }

    private static func apply(_ migration: Migration, to database: any Database) async throws {
        try await database.write { connection in
            for statement in migration.statements { try connection.execute(statement) }
            try connection.execute(
                "INSERT INTO schema_migrations (name, applied_at) VALUES (\(migration.name), \(Timestamp.now))"
            )
        }
    }
}
