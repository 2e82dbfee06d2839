// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import Hummingbird
import NIOCore
import Testing

struct JSONBodyTests {
    private struct Value: Decodable, Equatable {
        struct Inner: Decodable, Equatable { let count: Int }

        let name: String
        var inner: [Inner]?
    }

    private func decode(_ text: String, limit: Int = 1 << 20) async throws -> Value {
        try await JSONBody.decode(Value.self, from: RequestBody(buffer: ByteBuffer(string: text)), limit: limit)
    }

    @Test
    func `reads what is right`() async throws {
        #expect(try await decode(#"{"name":"x","other":1}"#) == Value(name: "x"))
        #expect(try await decode(#"{"name":"\\u0000 is not NUL"}"#).name == #"\u0000 is not NUL"#)
    }

    @Test(arguments: [
        ("{}", "name is required"), (#"{"name":1}"#, "name must be a string"), (#"{"name":null}"#, "name"),
        (#"{"name":"x","inner":{}}"#, "inner must be a list"),
        (#"{"name":"x","inner":[{"count":1},{"count":"2"}]}"#, "inner[1].count must be a number"),
        (#"{"name":"x","inner":[{}]}"#, "inner[0].count is required"),
        (#"{"name":"a\u0000b"}"#, "NUL"), (#"{"name":"\\\u0000"}"#, "NUL"),
        ("", "Invalid request body"), ("{", "Invalid request body"), ("[1,2]", "Invalid request body"),
        ("nonsense", "Invalid request body"), (#"{"name":"x"} trailing"#, "Invalid request body"),
    ])
    func `names what is wrong`(text: String, complaint: String) async throws {
        let error = await #expect(throws: ServerError.self) { try await decode(text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
    }

    @Test
    func `refuses invalid UTF-8 and endless nesting`() async throws {
        let invalid = RequestBody(
            buffer: ByteBuffer(bytes: Array(#"{"name":""#.utf8) + [0xFF, 0xFE] + Array(#""}"#.utf8))
        )
        await #expect(throws: ServerError.self) { try await JSONBody.decode(Value.self, from: invalid, limit: 1000) }
        let deep = String(repeating: "[", count: 100_000)
        await #expect(throws: ServerError.self) { try await decode(#"{"name":"x","inner":\#(deep)"#) }
    }

    @Test
    func `refuses what is too large`() async throws {
        let error = await #expect(throws: ServerError.self) { try await decode(#"{"name":"0123456789"}"#, limit: 10) }
        #expect(error?.code == .tooLarge)
        #expect(error?.message.contains("10 bytes") == true)
    }
}
