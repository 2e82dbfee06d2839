// SPDX-License-Identifier: Apache-2.0

import GRDB
import GRDBSQLite

/// Runs statements on a connection of the pool.
///
/// GRDB keeps the prepared statements; binding and reading go to SQLite directly, which takes a third of the time of
/// GRDB's rows for the lists that are asked for all the time.
struct SQLiteConnection: SQLConnection {
    private let database: GRDB.Database

    init(_ database: GRDB.Database) {
        self.database = database
    }

    func rows(_ sql: SQL) throws -> [SQLRow] {
        try withStatement(sql) { statement in
            var rows: [SQLRow] = []
            var columns: [String] = []
            while try step(statement) {
                if rows.isEmpty { columns = names(of: statement) }
                let values = (0..<Int32(columns.count)).map { value(of: statement, at: $0) }
                rows.append(SQLRow(columns: columns, values: values))
            }
            return rows
        }
    }

    @discardableResult
    func execute(_ sql: SQL) throws -> Int {
        try withStatement(sql) { statement in
            while try step(statement) {}
            return database.changesCount
        }
    }

    private func withStatement<Value>(_ sql: SQL, _ body: (OpaquePointer) throws -> Value) throws -> Value {
        let statement = try database.cachedStatement(sql: sql.text).sqliteStatement
        defer {
            // Its result repeats the error of the last step.
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (index, value) in sql.values.enumerated() {
            guard bind(value, to: statement, at: Int32(index + 1)) == SQLITE_OK else { throw lastError }
        }
        return try body(statement)
    }

    private func bind(_ value: SQLValue, to statement: OpaquePointer, at index: Int32) -> Int32 {
        // SQLite's SQLITE_TRANSIENT: it makes a copy.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null: return sqlite3_bind_null(statement, index)
        case .integer(let integer): return sqlite3_bind_int64(statement, index, integer)
        case .text(let text): return sqlite3_bind_text(statement, index, text, Int32(text.utf8.count), transient)
        }
    }

    /// Whether there is a row.
    private func step(_ statement: OpaquePointer) throws -> Bool {
        switch sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw lastError
        }
    }

    private func names(of statement: OpaquePointer) -> [String] {
        (0..<sqlite3_column_count(statement)).map { String(cString: sqlite3_column_name(statement, $0)) }
    }

    private func value(of statement: OpaquePointer, at index: Int32) -> SQLValue {
        switch sqlite3_column_type(statement, index) {
        case SQLITE_NULL: return .null
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, index))
        default:
            guard let text = sqlite3_column_text(statement, index) else { return .text("") }
            let count = Int(sqlite3_column_bytes(statement, index))
            return .text(String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        }
    }

    private var lastError: GRDB.DatabaseError {
        GRDB.DatabaseError(
            resultCode: ResultCode(rawValue: sqlite3_extended_errcode(database.sqliteConnection)),
            message: String(cString: sqlite3_errmsg(database.sqliteConnection))
        )
    }
}

extension DatabaseError {
    /// GRDB's own description would add the arguments, which may be secret.
    init(_ error: GRDB.DatabaseError) {
        let code: Code =
            switch (error.extendedResultCode, error.resultCode) {
            case (.SQLITE_CONSTRAINT_UNIQUE, _), (.SQLITE_CONSTRAINT_PRIMARYKEY, _): .duplicate
            case (_, .SQLITE_CONSTRAINT): .constraint
            case (_, .SQLITE_FULL): .full
            case (_, .SQLITE_READONLY): .readOnly
            case (_, .SQLITE_BUSY), (_, .SQLITE_LOCKED): .busy
            case (_, .SQLITE_NOTADB), (_, .SQLITE_CORRUPT): .notADatabase
            case (_, .SQLITE_CANTOPEN), (_, .SQLITE_IOERR): .unavailable
            default: .other
            }
        self.init(code, error.message ?? "SQLite error \(error.extendedResultCode.rawValue)")
    }
}
