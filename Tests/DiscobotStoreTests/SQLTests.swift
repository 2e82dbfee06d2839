// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

@testable import DiscobotStore

struct SQLTests {
    @Test
    func `interpolated values become numbered binds`() {
        let sql: SQL = "SELECT * FROM t WHERE a = \(1) AND b = \("x'; DROP TABLE t; --")"
        #expect(sql.text == "SELECT * FROM t WHERE a = $1 AND b = $2")
        #expect(sql.values == [.integer(1), .text("x'; DROP TABLE t; --")])
    }

    @Test
    func `fragments are numbered by their place in the whole`() {
        let condition: SQL = "b = \(2) OR c = \(3)"
        let sql: SQL = "WHERE a = \(1) AND (\(condition)) AND d = \(4)"
        #expect(sql.text == "WHERE a = $1 AND (b = $2 OR c = $3) AND d = $4")
        #expect(sql.values == [.integer(1), .integer(2), .integer(3), .integer(4)])
    }

    @Test
    func `lists become one bind for each element`() {
        let sql: SQL = "IN \(list: ["a", "b"])"
        #expect(sql.text == "IN ($1, $2)")
    }

    @Test
    func `an absent value is NULL`() {
        let sql: SQL = "SET a = \(String?.none)"
        #expect(sql.values == [.null])
    }

    @Test
    func `a column of another type is an error`() {
        let row = SQLRow(columns: ["a"], values: [.text("x")])
        #expect(throws: ServerError.self) { let _: Int = try row.value("a") }
        #expect(throws: ServerError.self) { let _: String = try row.value("b") }
    }
}
