// SPDX-License-Identifier: Apache-2.0

package import DiscobotStore

/// A database engine that the conformance tests run on.
package enum StoreBackend: String, CaseIterable, Sendable {
    case sqlite

    /// Runs `body` with a new, empty database.
    package func withDatabase<Value>(_ body: (any Database) async throws -> Value) async throws -> Value {
        try await TemporaryDirectory.with { directory in
            let database = try await SQLiteDatabase(path: directory.file("test.db"))
            do {
                let value = try await body(database)
                await database.close()
                return value
            } catch {
                await database.close()
                throw error
            }
        }
    }

    /// Runs `body` with a store on a new database.
    package func withStore<Value>(_ body: (Store) async throws -> Value) async throws -> Value {
        try await withDatabase { try await body(try await Store($0)) }
    }
}
