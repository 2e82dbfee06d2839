// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import DiscobotTunnel

/// Frames by frames, what a peer may send and how the connection ends for what it may not.
struct WebSocketParserTests {
    /// A frame as a client sends it, with whatever is wrong about it.
    static func frame(
        _ opcode: UInt8,
        _ payload: [UInt8] = [],
        isFinal: Bool = true,
        reserved: UInt8 = 0,
        mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D],
        length: [UInt8]? = nil
    ) -> [UInt8] {
        var bytes = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        let count = payload.count
        if let length {
            bytes.append(maskBit | length[0])
            bytes += length.dropFirst()
        } else if count <= 125 {
            bytes.append(maskBit | UInt8(count))
        } else if count <= 0xFFFF {
            bytes += [maskBit | 126, UInt8(count >> 8), UInt8(count & 0xFF)]
        } else {
            bytes.append(maskBit | 127)
            bytes += (0..<8).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
        }
        guard let mask else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
    }

    /// What a parser makes of bytes that come in pieces of a size.
    private static func events(
        _ bytes: [UInt8],
        pieces: Int = .max,
        maximum: Int = 1 << 20
    ) throws -> [WebSocketParser.Event] {
        var parser = WebSocketParser(expectsMask: true, maximumMessage: maximum)
        var events: [WebSocketParser.Event] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            parser.append(ByteBuffer(bytes: rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
            while let event = try parser.next() { events.append(event) }
        }
        return events
    }

    private static func violation(_ bytes: [UInt8], maximum: Int = 1 << 20) -> Int? {
        do {
            _ = try events(bytes, maximum: maximum)
            return nil
        } catch {
            return (error as? WebSocketViolation)?.close.code
        }
    }

    @Test(arguments: [0, 1, 3, 4, 7, 8, 9, 125, 126, 127, 128, 65535, 65536, 100_000], [1, 7, Int.max])
    func `reads messages of any length in any pieces`(count: Int, pieces: Int) throws {
        // One byte at a time would take its time on the longest.
        try #require(count < 70_000 || pieces > 1 || count == 100_000)
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let events = try Self.events(Self.frame(2, payload), pieces: count > 60_000 ? max(pieces, 1000) : pieces)
        #expect(events == [.message(WebSocketMessage(.binary, ByteBuffer(bytes: payload)))])
    }

    @Test(arguments: [1, 3, Int.max])
    func `joins what comes in fragments, with pings between them`(pieces: Int) throws {
        let text = Array("Hellö, 世界 😀".utf8)
        var bytes = Self.frame(1, Array(text.prefix(5)), isFinal: false)
        bytes += Self.frame(9, Array("ping".utf8))
        bytes += Self.frame(0, [], isFinal: false)
        bytes += Self.frame(0, Array(text.dropFirst(5).prefix(4)), isFinal: false)
        bytes += Self.frame(10)
        bytes += Self.frame(0, Array(text.dropFirst(9)))
        bytes += Self.frame(1, Array("next".utf8))
        let events = try Self.events(bytes, pieces: pieces)
        #expect(
            events == [
                .ping(ByteBuffer(string: "ping")), .pong(ByteBuffer()), .message(.text("Hellö, 世界 😀")),
                .message(.text("next")),
            ]
        )
    }

    @Test(arguments: [
        ("no mask", frame(1, [1], mask: nil), 1002), ("a reserved bit", frame(1, [1], reserved: 4), 1002),
        ("another reserved bit", frame(9, [], reserved: 1), 1002), ("opcode 3", frame(3), 1002),
        ("opcode 7", frame(7), 1002), ("opcode 11", frame(11), 1002), ("opcode 15", frame(15), 1002),
        ("a continuation of nothing", frame(0, [1]), 1002),
        ("text within text", frame(1, [65], isFinal: false) + frame(1), 1002),
        ("binary within text", frame(1, [65], isFinal: false) + frame(2), 1002),
        ("a long ping", frame(9, [UInt8](repeating: 1, count: 126)), 1002),
        ("a long close", frame(8, [3, 232] + [UInt8](repeating: 65, count: 124)), 1002),
        ("half a ping", frame(9, [], isFinal: false), 1002), ("half a close", frame(8, [], isFinal: false), 1002),
        ("a short length in two bytes", frame(2, [], length: [126, 0, 125]), 1002),
        ("a short length in eight bytes", frame(2, [], length: [127, 0, 0, 0, 0, 0, 0, 255, 255]), 1002),
        ("a negative length", frame(2, [], length: [127, 255, 0, 0, 0, 0, 0, 0, 0]), 1002),
        ("an endless length", frame(2, [], length: [127, 127, 255, 255, 255, 255, 255, 255, 255]), 1009),
        ("bad text", frame(1, [0xCE, 0xBA, 0xE1, 0xFF]), 1007),
        ("a text's end in a character", frame(1, [0xE4, 0xB8]), 1007),
        ("a surrogate", frame(1, [0xED, 0xA0, 0x80]), 1007), ("an overlong slash", frame(1, [0xC0, 0xAF]), 1007),
        ("an overlong three", frame(1, [0xE0, 0x9F, 0xBF]), 1007),
        ("an overlong four", frame(1, [0xF0, 0x8F, 0xBF, 0xBF]), 1007),
        ("beyond Unicode", frame(1, [0xF4, 0x90, 0x80, 0x80]), 1007), ("a lone continuation", frame(1, [0x80]), 1007),
        (
            "bad text early in a long frame", Array(frame(1, [0xF8] + [UInt8](repeating: 65, count: 500)).prefix(20)),
            1007
        ),
        ("bad text across fragments", frame(1, [0xC3], isFinal: false) + frame(0, [0x28]), 1007),
        ("a close of one byte", frame(8, [3]), 1002), ("a bad reason", frame(8, [3, 232, 0xFF]), 1007),
    ])
    func `refuses what is wrong`(what: String, bytes: [UInt8], code: Int) {
        #expect(Self.violation(bytes) == code, "\(what)")
    }

    @Test(arguments: [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
    func `refuses close codes that nobody may send`(code: Int) {
        #expect(Self.violation(Self.frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)])) == 1002)
    }

    @Test(arguments: [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    func `takes close codes with a reason`(code: Int) throws {
        let events = try Self.events(Self.frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array("bye ✓".utf8)))
        #expect(events == [.close(WebSocketClose(code, "bye ✓"))])
    }

    @Test
    func `refuses messages that are too large, also in fragments`() throws {
        let fits = try Self.events(Self.frame(2, [UInt8](repeating: 1, count: 1000)), maximum: 1000)
        #expect(fits.count == 1)
        #expect(Self.violation(Self.frame(2, [UInt8](repeating: 1, count: 1001)), maximum: 1000) == 1009)
        let half = [UInt8](repeating: 1, count: 600)
        #expect(Self.violation(Self.frame(2, half, isFinal: false) + Self.frame(0, half), maximum: 1000) == 1009)
        // Before its bytes have come.
        #expect(
            Self.violation(Array(Self.frame(2, [UInt8](repeating: 1, count: 5000)).prefix(4)), maximum: 1000) == 1009
        )
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 8, 9, 125, 126, 127, 65535, 65536])
    func `writes frames that the other side reads`(count: Int) throws {
        let payload = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 * 13) })
        for mask in [nil, 0x1234_5678, 0xFFFF_0001] as [UInt32?] {
            var parser = WebSocketParser(expectsMask: mask != nil, maximumMessage: 1 << 20)
            parser.append(WebSocketFrames.frame(.binary, payload, mask: mask))
            let event = try parser.next()
            #expect(event == .message(WebSocketMessage(.binary, payload)))
        }
    }

    @Test
    func `cuts a reason at a character`() throws {
        var parser = WebSocketParser(expectsMask: false, maximumMessage: 1 << 20)
        parser.append(WebSocketFrames.close(WebSocketClose(1000, String(repeating: "€", count: 60)), mask: nil))
        let event = try parser.next()
        #expect(event == .close(WebSocketClose(1000, String(repeating: "€", count: 41))))
    }

    /// RFC 6455 §1.3.
    @Test
    func `answers a key as the standard says`() {
        #expect(WebSocketHandshake.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(WebSocketHandshake.isKey("dGhlIHNhbXBsZSBub25jZQ=="))
        #expect(!WebSocketHandshake.isKey("dGhlIHNhbXBsZQ=="))
        #expect(!WebSocketHandshake.isKey("not base64 at all!!!!!!!"))
        #expect(WebSocketHandshake.isKey(WebSocketHandshake.randomKey()))
    }
}
