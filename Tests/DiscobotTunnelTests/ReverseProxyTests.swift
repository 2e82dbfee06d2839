// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

/// Services that take their time, and servers and clients that go meanwhile.
@Suite(.timeLimit(.minutes(10)))
struct ReverseProxyTests {
    private static let minute = 60_000

    /// Runs `body` with a client that has asked for a service's answer.
    ///
    /// - Parameter request: what the client sends after the path.
    private func with(
        patience milliseconds: Int,
        method: String = "GET",
        request: String = "\r\n",
        _ body: @escaping @Sendable (UpgradeServer, RawConnection, ListeningSocket.Peer) async throws -> Void
    ) async throws {
        let service = try ListeningSocket()
        defer { service.close() }
        try await UpgradeServer.with { server in
            let client = try RawConnection(port: server.port)
            defer { client.close() }
            let line = "\(method) /proxy/\(service.port)/\(milliseconds) HTTP/1.1\r\nHost: localhost\r\n"
            client.send(line + request)
            let peer = try #require(await service.waitForPeer())
            defer { peer.close() }
            try await body(server, client, peer)
        }
    }

    @Test
    func `a service that does not begin its answer is not waited for`() async throws {
        try await with(patience: 100) { _, client, peer in
            #expect(await client.readHead().hasPrefix("HTTP/1.1 502"))
            let message = "the service does not answer in time"
            #expect(await client.read(count: message.utf8.count) == Array(message.utf8))
            #expect(await peer.ends(within: 240_000))
        }
    }

    @Test
    func `a service that stops in the midst of what it has announced is given up`() async throws {
        // A busy machine may take longer than the service has for the beginning of its answer.
        for patience in [1000, 5000, 25_000] {
            let hasBegun = Mutex(false)
            try await with(patience: patience) { _, client, peer in
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
                guard await client.readHead().hasPrefix("HTTP/1.1 200") else { return }
                hasBegun.withLock { $0 = true }
                let body = await client.readBytesToEnd()
                #expect(body == Array("half ".utf8))
                #expect(await peer.ends(within: 240_000))
            }
            if hasBegun.withLock({ $0 }) { return }
        }
        Issue.record("the answer did not begin")
    }

    @Test
    func `a stopping server waits for an answer that has an end`() async throws {
        try await with(patience: Self.minute) { server, client, peer in
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
            _ = await client.readHead()
            #expect(await client.read(count: 5) == Array("half ".utf8))
            await server.stop()
            #expect(await RawConnection.isRefused(port: server.port))
            peer.send("other")
            let rest = await client.readBytesToEnd()
            #expect(rest == Array("other".utf8))
        }
    }

    @Test
    func `a stopping server ends an answer that has none`() async throws {
        try await with(patience: Self.minute) { server, client, peer in
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            _ = await client.readHead()
            await server.stop()
            #expect(await client.readBytesToEnd() != nil)
            #expect(await peer.ends(within: 240_000))
        }
    }

    @Test
    func `a service is told when its client goes`() async throws {
        try await with(patience: Self.minute) { _, client, peer in
            client.finish()
            #expect(await peer.ends(within: 240_000))
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly", "200"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n", "200"),
        ("nonsense\r\n\r\n", "502"),
    ])
    func `a connection goes on when a service has answered before the request was whole`(
        answer: String,
        status: String
    ) async throws {
        let plain = "GET /plain HTTP/1.1\r\nHost: localhost\r\n"
        try await with(patience: Self.minute, method: "POST", request: "Content-Length: 6\r\n\r\nabc") {
            _,
            client,
            peer in
            peer.send(answer)
            // What is wrong with an answer is said when the request is whole.
            let head = status == "200" ? await client.readHead() : ""
            client.send("def\(plain)\r\n\(plain)Connection: close\r\n\r\n")
            let answers = head + (await client.readToEnd() ?? "left open")
            #expect(answers.hasPrefix("HTTP/1.1 \(status)"), "\(answers)")
            #expect(answers.components(separatedBy: "HTTP/1.1 200").count == (status == "200" ? 4 : 3), "\(answers)")
            #expect(answers.hasSuffix("plain"))
            #expect(await peer.ends(within: 240_000))
        }
    }

    @Test
    func `a WebSocket ends when one side has, also where the other does not care`() async throws {
        try await with(patience: Self.minute, request: RawConnection.upgrade + "\r\n") { _, client, peer in
            peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
            #expect(await client.read(until: "hello").hasPrefix("HTTP/1.1 101"))
            client.finish()
            // The service keeps its side open.
            #expect(await client.readBytesToEnd() == [])
            #expect(await peer.ends(within: 240_000))
        }
    }
}
