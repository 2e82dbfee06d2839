// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The database as the services see it: always migrated, ready to use, and telling what has changed.
package struct Store: Sendable {
    private let database: any Database
    /// Tells of commits in this process.
    package let changes = ChangeFeed()

    /// Brings the schema up to date; throws `ServerError`.
    package init(_ database: any Database) async throws {
        self.database = database
        try await Migrations.run(on: database)
    }

    /// Whether other servers may be using the database at the same time.
    package var isShared: Bool { database.isShared }

    /// Runs `body` on one consistent snapshot; throws `ServerError`, or what `body` throws.
    package func read<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        do {
            return try await database.read { try body(Transaction($0)) }
        } catch let error as DatabaseError {
            throw ServerError(error)
        }
    }

    /// Runs `body` in a transaction and tells `changes` once it is committed; throws `ServerError`, or what `body` throws.
    @discardableResult
    package func write<Value: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        do {
            let (value, news) = try await database.write { connection in
                let transaction = Transaction(connection)
                return (try body(transaction), transaction.news)
            }
            changes.publish(news)
            return value
        } catch let error as DatabaseError {
            throw ServerError(error)
        }
    }

    package func close() async {
        await database.close()
    }
}

/// One transaction; the extensions in `Queries` are what it can do, noun by noun.
package final class Transaction {
    private let connection: any SQLConnection
    /// What others must hear of once the transaction is committed.
    var news = StoreNews()

    init(_ connection: any SQLConnection) {
        self.connection = connection
    }

    func rows(_ sql: SQL) throws -> [SQLRow] { try connection.rows(sql) }

    func row(_ sql: SQL) throws -> SQLRow? { try connection.rows(sql).first }

    @discardableResult
    func execute(_ sql: SQL) throws -> Int { try connection.execute(sql) }
}

extension ServerError {
    init(_ error: DatabaseError) {
        self =
            switch error.code {
            case .duplicate: ServerError(.conflict, "it exists already", cause: error)
            case .full: ServerError(.storageFull, "the server's disk is full; nothing was stored", cause: error)
            case .readOnly, .busy, .unavailable, .notADatabase:
                ServerError(.unavailable, "the database cannot be used now; the server's log says why", cause: error)
            case .constraint, .other: ServerError(.internal, "the database refused", cause: error)
            }
    }
}
