// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct SQLiteDatabaseTests {
    @Test
    func `a file that is no database is refused and left as it is`() async throws {
        try await TemporaryDirectory.with { directory in
            let text = String(repeating: "these are my holiday notes\n", count: 100)
            try directory.write(text, to: "notes.db")
            let error = await #expect(throws: ServerError.self) {
                try await SQLiteDatabase(path: directory.file("notes.db"))
            }
            #expect(error?.message.contains("is not an SQLite database") == true)
            #expect(try String(contentsOfFile: directory.file("notes.db"), encoding: .utf8) == text)
        }
    }

    @Test
    func `a second server on the same file is refused`() async throws {
        try await TemporaryDirectory.with { directory in
            let first = try await SQLiteDatabase(path: directory.file("a.db"))
            let error = await #expect(throws: ServerError.self) {
                try await SQLiteDatabase(path: directory.file("a.db"))
            }
            #expect(error?.message.contains("another server uses this database") == true)
            await first.close()
            let second = try await SQLiteDatabase(path: directory.file("a.db"))
            await second.close()
        }
    }

    @Test
    func `a second server waits for the first to end`() async throws {
        try await TemporaryDirectory.with { directory in
            let path = directory.file("a.db")
            let first = try await SQLiteDatabase(path: path)
            async let second = SQLiteDatabase(path: path, lockTimeout: .seconds(30))
            await first.close()
            await (try second).close()
        }
    }

    @Test
    func `after a clean end the main file alone holds everything`() async throws {
        try await TemporaryDirectory.with { directory in
            let database = try await SQLiteDatabase(path: directory.file("a.db"))
            let store = try await Store(database)
            try await store.write { try $0.seed(.anonymous, providerID: "anonymous") }
            _ = try await store.read { try $0.projects(of: User.anonymous.id) }
            await store.close()
            let copy = directory.file("copy.db")
            try FileManager.default.copyItem(atPath: directory.file("a.db"), toPath: copy)
            let reopened = try await SQLiteDatabase(path: copy)
            let users = try await reopened.read { try $0.rows("SELECT id FROM users") }
            #expect(users.count == 1)
            await reopened.close()
        }
    }

    @Test
    func `only the server's user can read what is stored`() async throws {
        try await TemporaryDirectory.with { directory in
            let database = try await SQLiteDatabase(path: directory.file("data/a.db"))
            try await database.write { _ = try $0.execute("CREATE TABLE t (a TEXT)") }
            for (name, mode) in [("data", 0o700), ("data/a.db", 0o600), ("data/a.db-wal", 0o600)] {
                let attributes = try FileManager.default.attributesOfItem(atPath: directory.file(name))
                #expect(attributes[.posixPermissions] as? Int == mode, "\(name)")
            }
            await database.close()
        }
    }

    @Test
    func `a directory that cannot be made is named`() async throws {
        try await TemporaryDirectory.with { directory in
            try directory.write("a file", to: "file")
            let error = await #expect(throws: ServerError.self) {
                try await SQLiteDatabase(path: directory.file("file/sub/a.db"))
            }
            #expect(error?.message.contains("DATABASE_DSN") == true)
            #expect(error?.message.contains("/file") == true)
        }
    }

    @Test
    func `a full disk refuses the write and keeps what is there`() async throws {
        try await TemporaryDirectory.with { directory in
            let database = try await SQLiteDatabase(path: directory.file("a.db"))
            let store = try await Store(database)
            let now = Timestamp.now
            try await store.write { transaction in
                try transaction.seed(.anonymous, providerID: "anonymous")
                try transaction.put(Preference(key: "kept", value: "v", updatedAt: now), of: User.anonymous.id)
            }
            try await database.write { connection in
                let pages: Int = try #require(try connection.rows("PRAGMA page_count").first).value("page_count")
                _ = try connection.rows("PRAGMA max_page_count = \(raw: pages)")
            }
            let large = Preference(key: "large", value: String(repeating: "x", count: 1 << 20), updatedAt: now)
            let error = await #expect(throws: ServerError.self) {
                try await store.write { try $0.put(large, of: User.anonymous.id) }
            }
            #expect(error?.code == .storageFull)
            #expect(try await store.read { try $0.preferences(of: User.anonymous.id).map(\.key) } == ["kept"])
            await store.close()
        }
    }
}

extension SQL.StringInterpolation {
    /// PRAGMA takes no binds.
    fileprivate mutating func appendInterpolation(raw number: Int) {
        appendLiteral(String(number))
    }
}
