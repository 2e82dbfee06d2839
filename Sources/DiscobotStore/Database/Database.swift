// SPDX-License-Identifier: Apache-2.0

/// A database engine: runs synchronous transactions, so that no network call can happen inside one.
package protocol Database: Sendable {
    /// Whether several servers can use the database at once.
    var isShared: Bool { get }

    /// Runs `body` on one consistent snapshot; it must not write.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> Value
    ) async throws -> Value

    /// Runs `body` in a transaction that is committed when it returns and rolled back when it throws.
    @discardableResult
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> Value
    ) async throws -> Value

    /// Lets running transactions end and releases everything that is held.
    func close() async
}

/// What a transaction can do with its database.
package protocol SQLConnection {
    /// Runs a statement and returns the rows it yields; throws `DatabaseError`.
    func rows(_ sql: SQL) throws -> [SQLRow]
    /// Runs a statement and returns how many rows it changed; throws `DatabaseError`.
    @discardableResult
    func execute(_ sql: SQL) throws -> Int
}

/// Why a database refused, in words that hold for every engine.
package struct DatabaseError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable {
        /// A unique or primary key is taken.
        case duplicate
        /// Another constraint of the schema is violated.
        case constraint
        case full
        case readOnly
        case busy
        case notADatabase
        case unavailable
        case other
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code): \(message)" }
}
