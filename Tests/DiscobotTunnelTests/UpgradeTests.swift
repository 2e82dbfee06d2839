// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import DiscobotTunnel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// How a connection leaves HTTP, byte by byte.
@Suite(.timeLimit(.minutes(10)))
struct UpgradeTests {
    private static func with(_ body: @escaping @Sendable (RawConnection) async throws -> Void) async throws {
        try await UpgradeServer.with { server in
            let connection = try RawConnection(port: server.port)
            do {
                defer { connection.close() }
                try await body(connection)
            }
            // Others are still served.
            let after = try RawConnection(port: server.port)
            defer { after.close() }
            after.send("GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            let answer = try #require(await after.readBytesToEnd())
            #expect(String(decoding: answer, as: UTF8.self).hasSuffix("plain"))
        }
    }

    private static func frame(_ opcode: UInt8, _ text: String = "") -> [UInt8] {
        WebSocketParserTests.frame(opcode, Array(text.utf8))
    }

    private static let get = "GET /echo/a HTTP/1.1\r\n" + RawConnection.upgrade + "\r\n"

    /// Of the ends of connections that are established (01) at a local port.
    private static func timers(port: Int) async throws -> [String] {
        let table = try await Shell.run("cat /proc/net/tcp")
        return table.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: " ")
            guard columns.count > 5, columns[3] == "01",
                columns[1].hasSuffix(":" + String(port, radix: 16, uppercase: true))
            else { return nil }
            return String(columns[5].prefix(3))
        }
    }

    @Test
    func `a peer that may have vanished is asked by the kernel`() async throws {
        try await UpgradeServer.with { server in
            let connection = try RawConnection(port: server.port)
            defer { connection.close() }
            connection.send("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
            _ = await connection.readHead()
            // The table skips lines when others come and go while it is read.
            var timers: [String] = []
            for _ in 0..<100 where timers != ["02:"] { timers = try await Self.timers(port: server.port) }
            // A timer for such questions.
            #expect(timers == ["02:"])
        }
    }

    @Test
    func `an answer to HEAD is its head`() async throws {
        try await Self.with { connection in
            let request = "/open HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.send("HEAD \(request)HEAD \(request)GET \(request)")
            for _ in 0..<3 {
                let head = await connection.readHead()
                #expect(head.hasPrefix("HTTP/1.1 200"), "\(head)")
                #expect(head.lowercased().contains("transfer-encoding: chunked"))
            }
            #expect(await connection.read(count: 5) == Array("0\r\n\r\n".utf8))
        }
    }

    @Test
    func `switches, with frames that came along with the request`() async throws {
        try await Self.with { connection in
            connection.send(
                Array(Self.get.utf8) + Self.frame(1, "early") + Self.frame(9, "p") + Self.frame(1, "more").prefix(3)
            )
            let head = await connection.readHead()
            #expect(head.hasPrefix("HTTP/1.1 101 "), "\(head)")
            #expect(
                head.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".lowercased())
                    || head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            )
            #expect(head.lowercased().contains("\r\nconnection: upgrade\r\n"))
            #expect(!head.lowercased().contains("transfer-encoding") && !head.lowercased().contains("content-length"))
            connection.send(Array(Self.frame(1, "more").dropFirst(3)))
            let frames = await connection.read(count: 7 + 3 + 6)
            #expect(
                frames == [0x81, 5] + Array("early".utf8) + [0x8A, 1] + Array("p".utf8) + [0x81, 4] + Array("more".utf8)
            )
            connection.send(WebSocketParserTests.frame(8, [3, 232]))
            let end = try #require(await connection.readBytesToEnd())
            #expect(end == [0x88, 2, 3, 232])
        }
    }

    @Test
    func `switches any request of a connection, also one that was sent ahead`() async throws {
        try await Self.with { connection in
            let plain = "GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.send(plain)
            let first = await connection.readHead()
            #expect(first.hasPrefix("HTTP/1.1 200 "))
            _ = await connection.read(count: 5)
            connection.send(Array((plain + Self.get).utf8) + Self.frame(1, "x"))
            _ = await connection.readHead()
            _ = await connection.read(count: 5)
            let head = await connection.readHead()
            #expect(head.hasPrefix("HTTP/1.1 101 "))
            let echo = await connection.read(count: 3)
            #expect(echo == [0x81, 1, UInt8(ascii: "x")])
        }
    }

    @Test(arguments: [
        ("GET /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "this is a WebSocket"),
        ("GET /echo/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n", 400, "this is a WebSocket"),
        (
            "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400,
            "this is a WebSocket"
        ),
        (
            "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
            400, "Sec-WebSocket-Key"
        ),
        (
            "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n\r\n",
            400, "Sec-WebSocket-Key"
        ),
        (
            "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            426, "only version 13"
        ),
        (
            "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            426, "sec-websocket-version: 13"
        ),
        ("GET /echo/forbidden HTTP/1.1\r\n" + RawConnection.upgrade + "\r\n", 403, "not you"),
        ("GET /nothing HTTP/1.1\r\n" + RawConnection.upgrade + "\r\n", 404, "not found"),
        ("GET /plain HTTP/1.1\r\n" + RawConnection.upgrade + "\r\n", 200, "plain"),
        ("POST /echo/a HTTP/1.1\r\n" + RawConnection.upgrade + "Content-Length: 2\r\n\r\nab", 404, "not found"),
        ("POST /plain HTTP/1.1\r\n" + RawConnection.upgrade + "Content-Length: 2\r\n\r\nab", 200, "ab"),
    ])
    func `refuses with the router's answer`(request: String, status: Int, text: String) async throws {
        try await Self.with { connection in
            let isUpgrade = request.contains("Upgrade:")
            connection.send(
                isUpgrade ? request + "surplus" : request.replacing("\r\n\r\n", with: "\r\nConnection: close\r\n\r\n")
            )
            let answer = String(decoding: try #require(await connection.readBytesToEnd(), "left open"), as: UTF8.self)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            #expect(answer.lowercased().contains(text.lowercased()), "\(answer)")
            #expect(!isUpgrade || answer.lowercased().contains("\r\nconnection: close\r\n"), "\(answer)")
            #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2)
        }
    }

    @Test
    func `carries any bytes through a tunnel, and its end`() async throws {
        try await Self.with { connection in
            connection.send(
                Array(
                    "GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly".utf8
                )
            )
            let head = await connection.readHead()
            #expect(head.hasPrefix("HTTP/1.1 101 ") && head.lowercased().contains("\r\nupgrade: echo\r\n"))
            let early = await connection.read(count: 5)
            #expect(early == Array("early".utf8))
            let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * 31) }
            async let sent: Void = connection.sendMuch(bytes)
            let echo = await connection.read(count: bytes.count)
            await sent
            #expect(echo == bytes)
            connection.finish()
            let end = try #require(await connection.readBytesToEnd())
            #expect(end == Array("end".utf8))
        }
    }

    @Test(arguments: [
        ("a violation", WebSocketParserTests.frame(3), [0x88, 0x10, 3, 0xEA]),
        ("half a close code", WebSocketParserTests.frame(8, [3]), [0x88, 0x13, 3, 0xEA]),
        ("no mask", WebSocketParserTests.frame(1, [65], mask: nil), [0x88, 0x19, 3, 0xEA]),
        ("bad text", WebSocketParserTests.frame(1, [0xFF]), [0x88, 0x17, 3, 0xEF]),
        ("an empty close", WebSocketParserTests.frame(8), [0x88, 0]),
        ("a fault of the server", WebSocketParserTests.frame(1, Array("fail".utf8)), [0x88, 0x10, 3, 0xF3]),
    ])
    func `ends the connection with a code`(what: String, frame: [UInt8], answer: [UInt8]) async throws {
        try await Self.with { connection in
            connection.send(Self.get)
            _ = await connection.readHead()
            connection.send(frame)
            let close = await connection.read(count: answer.count)
            #expect(close == answer, "\(what)")
            let rest = await connection.readBytesToEnd()
            #expect(rest != nil, "left open")
        }
    }

    @Test
    func `closes a dead peer, and one that does not answer a close`() async throws {
        var settings = WebSocket.Settings()
        settings.closeTimeout = .milliseconds(200)
        var impatient = settings
        impatient.pingInterval = .milliseconds(100)
        try await UpgradeServer.with(settings: impatient) { server in
            let dead = try RawConnection(port: server.port)
            defer { dead.close() }
            dead.send(Self.get)
            _ = await dead.readHead()
            // It is pinged, does not answer, and is left.
            let pings = try #require(await dead.readBytesToEnd())
            // More than one ping where the machine was too busy to listen for the answer.
            #expect(pings.starts(with: [0x89, 0]))
        }
        try await UpgradeServer.with(settings: settings) { server in
            let silent = try RawConnection(port: server.port)
            defer { silent.close() }
            silent.send(Array(Self.get.utf8) + Self.frame(1, "close me"))
            _ = await silent.readHead()
            let close = try #require(await silent.readBytesToEnd())
            #expect(close.starts(with: [0x88, 13, 0x0F, 0xA1]))
        }
    }

    @Test
    func `survives clients that vanish at any moment`() async throws {
        try await UpgradeServer.with { server in
            let bytes = Array(Self.get.utf8) + Self.frame(1, "hello") + Self.frame(8)
            for length in stride(from: 1, through: bytes.count, by: 9) {
                let connection = try RawConnection(port: server.port)
                connection.send(Array(bytes.prefix(length)))
                connection.close()
            }
            let last = try RawConnection(port: server.port)
            defer { last.close() }
            last.send(Array(Self.get.utf8) + Self.frame(1, "hello"))
            _ = await last.readHead()
            let echo = await last.read(count: 7)
            #expect(echo == [0x81, 5] + Array("hello".utf8))
        }
    }

    @Test
    func `tells WebSockets and closes tunnels when the server stops`() async throws {
        try await UpgradeServer.with { server in
            let socket = try RawConnection(port: server.port)
            let tunnel = try RawConnection(port: server.port)
            // One that never sends a request must not hold the server up.
            let silent = try RawConnection(port: server.port)
            defer { for connection in [socket, tunnel, silent] { connection.close() } }
            socket.send(Self.get)
            tunnel.send("GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            for connection in [socket, tunnel] { _ = await connection.readHead() }
            await server.stop()
            let close = await socket.read(count: 4)
            #expect(close.starts(with: [0x88]) && close.suffix(2) == [3, 0xE9])
            socket.send(WebSocketParserTests.frame(8, [3, 0xE9]))
            let ends = [await socket.readBytesToEnd(), await tunnel.readBytesToEnd(), await silent.readBytesToEnd()]
            #expect(ends.allSatisfy { $0 != nil })
        }
    }

    @Test
    func `has a client of its own`() async throws {
        try await UpgradeServer.with { server in
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let address = UpgradeClient.Address.tcp(host: "127.0.0.1", port: server.port)
            let tunnel = try await WebSocket.connect(
                to: address,
                uri: "/echo/greeting",
                headers: ["Host": "localhost"],
                on: loop
            )
            try await WebSocket.run(over: tunnel, as: .client) { socket in
                let hello = try await socket.receive()
                #expect(hello == .text("hello"))
                for count in [0, 1, 125, 126, 65535, 65536, 500_000] {
                    let message = WebSocketMessage(.binary, ByteBuffer(repeating: 7, count: count))
                    try await socket.send(message)
                    let echo = try await socket.receive()
                    #expect(echo == message)
                }
                try await socket.send(.text("close me"))
                let end = try await socket.receive()
                #expect(end == nil)
                #expect(socket.peerClose == WebSocketClose(4001, "as you wish"))
            }
            await #expect(throws: WebSocket.ConnectError.self) {
                try await WebSocket.connect(to: address, uri: "/echo/forbidden", headers: [:], on: loop)
            }
            let refusal = try await UpgradeClient.connect(
                to: address,
                HTTPRequestHead(version: .http1_1, method: .GET, uri: "/plain", headers: ["Host": "localhost"])
            )
            guard case .refused(let head, let body) = refusal else {
                Issue.record("not refused")
                return
            }
            #expect(head.status == .ok && String(buffer: body) == "plain")
        }
    }

    @Test
    func `bounds what is on its way to a peer`() async throws {
        var settings = WebSocket.Settings()
        settings.window = 64 << 10
        try await UpgradeServer.with(settings: settings) { server in
            let connection = try RawConnection(port: server.port)
            defer { connection.close() }
            connection.send("GET /flood HTTP/1.1\r\n" + RawConnection.upgrade + "\r\n")
            _ = await connection.readHead()
            // A client that answers no ping gets the window and no more: it reads nothing else until it asks to close.
            let flood = await connection.read(count: 64 << 10)
            connection.send(WebSocketParserTests.frame(8, [3, 232]))
            let rest = try #require(await connection.readBytesToEnd())
            #expect(flood.count == 64 << 10)
            #expect(rest.count < 64 << 10, "\(rest.count)")
        }
    }
}
