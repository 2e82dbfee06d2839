// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import DiscobotHTTP

struct JSONEncodingTests {
    private func text(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoding.bytes(of: value), as: UTF8.self)
    }

    private struct Everything: Codable, Equatable {
        enum Choice: Codable, Equatable {
            case none
            case pair(Int, name: String)
        }

        var text = "a \"quoted\" \\ line\nwith \u{1F} and 日本 🙂 / "
        var flag = true
        var small: Int8 = -8
        var large = UInt64.max
        var fraction = 1.5e-7
        var single: Float = 0.25
        var missing: String?
        var present: String? = ""
        var list = [[1, 2], [], [3]]
        var strings = ["a", "b"]
        var dictionary = ["key": ["inner": -1]]
        var choice = [Choice.none, .pair(7, name: "x")]
    }

    @Test
    func `what it writes is read back the same`() throws {
        let value = Everything()
        let bytes = try JSONEncoding.bytes(of: value)
        #expect(try JSONDecoder().decode(Everything.self, from: Data(bytes)) == value)
    }

    @Test
    func `writes the same as Foundation for every code point of ASCII`() throws {
        let value = String(String.UnicodeScalarView((0...127).compactMap(Unicode.Scalar.init)))
        let bytes = try JSONEncoding.bytes(of: [value])
        #expect(try JSONDecoder().decode([String].self, from: Data(bytes)) == [value])
        #expect(!bytes.contains { $0 < 0x20 })
    }

    @Test
    func `objects and lists are closed where they end`() throws {
        struct Empty: Encodable {}
        #expect(try text([Int]()) == "[]")
        #expect(try text(Empty()) == "{}")
        #expect(try text([[String: Int]()]) == "[{}]")
        #expect(try text([Int?.none, 1]) == "[null,1]")
        #expect(try text("plain") == #""plain""#)
        #expect(try text(Bool?.none) == "null")
    }

    private struct Nested: Encodable {
        enum Key: String, CodingKey { case object, list, after }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            var object = container.nestedContainer(keyedBy: Key.self, forKey: .object)
            try object.encode(1, forKey: .after)
            var list = container.nestedUnkeyedContainer(forKey: .list)
            var inner = list.nestedContainer(keyedBy: Key.self)
            try inner.encode("x", forKey: .after)
            try list.encode(false)
            try container.encode(2, forKey: .after)
        }
    }

    @Test
    func `nested containers end when their parent goes on`() throws {
        #expect(try text(Nested()) == #"{"object":{"after":1},"list":[{"after":"x"},false],"after":2}"#)
    }

    private struct InParts: Encodable {
        private struct Rest: Encodable {
            let list = [1]
            let last = "{"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Nested.Key.self)
            try container.encode("{", forKey: .object)
            try Rest().encode(to: encoder)
            try container.encode(2, forKey: .after)
        }
    }

    @Test
    func `the members of an object may be written in parts`() throws {
        #expect(try text([InParts()]) == #"[{"object":"{","list":[1],"last":"{","after":2}]"#)
    }

    @Test(arguments: [Double.infinity, -.infinity, .nan])
    func `numbers that JSON does not have are refused`(number: Double) {
        #expect(throws: EncodingError.self) { try JSONEncoding.bytes(of: [number]) }
    }
}
