// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotStore

/// What every database engine must do alike.
@Suite(.timeLimit(.minutes(10)))
struct DatabaseConformanceTests {
    private static let table: SQL =
        "CREATE TABLE things (id TEXT PRIMARY KEY, amount BIGINT CHECK (amount > 0), note TEXT, UNIQUE (note))"

    private func withTable(_ backend: StoreBackend, _ body: (any Database) async throws -> Void) async throws {
        try await backend.withDatabase { database in
            try await database.write { _ = try $0.execute(Self.table) }
            try await body(database)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `values come back as they went in`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            let texts = [
                "", "plain", "it's \"quoted\" $1 ? :x", "日本 🙂 \u{301}", "line\nbreak\ttab",
                String(repeating: "x", count: 100_000),
            ]
            for (index, text) in texts.enumerated() {
                try await database.write { try $0.execute("INSERT INTO things VALUES (\(text), \(index + 1), NULL)") }
                let row = try await database.read { connection in
                    try #require(try connection.rows("SELECT id, amount, note FROM things WHERE id = \(text)").first)
                }
                #expect(try row.value("id") == text)
                #expect(try row.value("amount") == index + 1)
                #expect(try row.value("note") == String?.none)
            }
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `the largest and smallest integers survive`(backend: StoreBackend) async throws {
        try await backend.withDatabase { database in
            try await database.write { try $0.execute("CREATE TABLE numbers (n BIGINT)") }
            for number in [Int64.min, -1, 0, 1, .max] {
                let stored = try await database.write {
                    try $0.rows("INSERT INTO numbers VALUES (\(number)) RETURNING n").first
                }
                #expect(try stored?.value("n") == number)
            }
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a transaction that throws leaves nothing`(backend: StoreBackend) async throws {
        struct Refused: Error {}
        try await withTable(backend) { database in
            await #expect(throws: Refused.self) {
                try await database.write { connection in
                    try connection.execute("INSERT INTO things VALUES ('a', 1, NULL)")
                    throw Refused()
                }
            }
            let rows = try await database.read { try $0.rows("SELECT id FROM things") }
            #expect(rows.isEmpty)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `execute tells how many rows changed`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            let counts = try await database.write { connection in
                [
                    try connection.execute("INSERT INTO things VALUES ('a', 1, NULL), ('b', 2, NULL)"),
                    try connection.execute("UPDATE things SET amount = 9 WHERE id = 'a'"),
                    try connection.execute("UPDATE things SET amount = 9 WHERE id = 'none'"),
                    try connection.execute("INSERT INTO things VALUES ('a', 5, NULL) ON CONFLICT DO NOTHING"),
                ]
            }
            #expect(counts == [2, 1, 0, 0])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `upserts and returns what was written`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            for amount in [1, 2] {
                let row = try await database.write { connection in
                    try connection.rows(
                        """
                        INSERT INTO things VALUES ('a', \(amount), NULL)
                        ON CONFLICT (id) DO UPDATE SET amount = excluded.amount RETURNING amount
                        """
                    ).first
                }
                #expect(try row?.value("amount") == amount)
            }
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `refusals are told apart`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            try await database.write { _ = try $0.execute("INSERT INTO things VALUES ('a', 1, 'n')") }
            let statements: [(SQL, DatabaseError.Code)] = [
                ("INSERT INTO things VALUES ('a', 1, NULL)", .duplicate),
                ("INSERT INTO things VALUES ('b', 1, 'n')", .duplicate),
                ("INSERT INTO things VALUES ('c', -1, NULL)", .constraint),
                ("INSERT INTO nowhere VALUES (1)", .other),
            ]
            for (statement, code) in statements {
                let error = await #expect(throws: DatabaseError.self) {
                    try await database.write { try $0.execute(statement) }
                }
                #expect(error?.code == code)
            }
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `an error never repeats the values`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            let error = await #expect(throws: DatabaseError.self) {
                try await database.write { try $0.execute("INSERT INTO things VALUES ('x', -1, \("top-secret"))") }
            }
            #expect(error?.description.contains("top-secret") == false)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `writers follow each other and lose nothing`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            try await database.write { _ = try $0.execute("INSERT INTO things VALUES ('counter', 1, NULL)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        _ = try await database.write { connection in
                            let row = try #require(try connection.rows("SELECT amount FROM things").first)
                            let amount: Int = try row.value("amount")
                            return try connection.execute("UPDATE things SET amount = \(amount + 1)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let row = try await database.read { try $0.rows("SELECT amount FROM things").first }
            #expect(try row?.value("amount") == 201)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a read cannot write`(backend: StoreBackend) async throws {
        try await withTable(backend) { database in
            await #expect(throws: DatabaseError.self) {
                try await database.read { try $0.execute("INSERT INTO things VALUES ('a', 1, NULL)") }
            }
            let rows = try await database.read { try $0.rows("SELECT id FROM things") }
            #expect(rows.isEmpty)
        }
    }
}
