// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation
import GRDB

/// SQLite in WAL mode: many readers beside one writer; GRDB keeps the connections and their prepared statements.
package final class SQLiteDatabase: Database {
    package let isShared = false
    private let pool: DatabasePool
    private let lock: FileLock

    /// Opens or creates the file, with its directory; throws `ServerError` with what to mend.
    ///
    /// - Parameters:
    ///   - lockTimeout: how long to wait for another server that still has the file.
    ///   - onWait: called when there is one.
    package init(
        path: String,
        lockTimeout: Duration = .zero,
        onWait: @Sendable () -> Void = {}
    ) async throws {
        try Self.createFile(path)
        lock = try await FileLock.acquire(path: path + ".lock", timeout: lockTimeout, onWait: onWait)
        do {
            pool = try DatabasePool(path: path, configuration: Self.configuration)
        } catch let error as GRDB.DatabaseError {
            throw Self.startError(DatabaseError(error), path: path)
        }
    }

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        // Reads run on the calling thread, so there must be a reader for each thread that can call.
        configuration.maximumReaderCount = max(8, ProcessInfo.processInfo.activeProcessorCount * 2)
        configuration.prepareDatabase { database in
            // NORMAL: a killed process loses nothing; a power cut may lose the last moments but never the file.
            try database.execute(sql: "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON")
        }
        return configuration
    }

    /// Nobody but the server's user may read what is stored; SQLite gives its side files the mode of the main file.
    private static func createFile(_ path: String) throws {
        let directory = (path as NSString).deletingLastPathComponent
        do {
            try FileManager.default.createDirectory(
                atPath: directory.isEmpty ? "." : directory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw ServerError(
                .unavailable,
                "DATABASE_DSN: the directory \(directory) cannot be created; check who may write there",
                cause: error
            )
        }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw ServerError(.unavailable, "DATABASE_DSN: the database file \(path) cannot be opened: \(reason)")
        }
        Glibc.close(descriptor)
    }

    private static func startError(_ error: DatabaseError, path: String) -> ServerError {
        let message =
            switch error.code {
            case .notADatabase: "DATABASE_DSN: \(path) is not an SQLite database; name another file or move it away"
            case .full: "DATABASE_DSN: no space is left for \(path)"
            case .readOnly: "DATABASE_DSN: \(path) is read-only; check who may write there"
            default: "DATABASE_DSN: \(path) cannot be opened: \(error.message)"
            }
        return ServerError(.unavailable, message, cause: error)
    }

    /// Reads where it is called: in WAL mode a reader never waits for the writer, and a hop costs more than the query.
    package func read<Value: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> Value
    ) async throws -> Value {
        try readInPlace(body)
    }

    private func readInPlace<Value>(_ body: (any SQLConnection) throws -> Value) throws -> Value {
        do {
            // "Unsafe" is a read outside a transaction; this one begins its own, more cheaply than the pool's.
            return try pool.unsafeRead { database in
                let connection = SQLiteConnection(database)
                try connection.execute("BEGIN DEFERRED")
                do {
                    let value = try body(connection)
                    try connection.execute("COMMIT")
                    return value
                } catch {
                    // It fails when SQLite has rolled back by itself; the first error is the one to tell.
                    _ = try? connection.execute("ROLLBACK")
                    throw error
                }
            }
        } catch let error as GRDB.DatabaseError {
            throw DatabaseError(error)
        }
    }

    @discardableResult
    package func write<Value: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws -> Value
    ) async throws -> Value {
        do {
            return try await pool.write { try body(SQLiteConnection($0)) }
        } catch let error as GRDB.DatabaseError {
            throw DatabaseError(error)
        }
    }

    package func close() async {
        // So that the main file alone holds everything. Nothing can be done about a failure at the end, and the next
        // start replays the journal.
        _ = try? await pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try? pool.close()
        lock.release()
    }
}
