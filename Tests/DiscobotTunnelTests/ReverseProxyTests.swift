// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// Services that take their time, and servers and clients that go meanwhile.
@Suite(.timeLimit(.minutes(5)))
struct ReverseProxyTests {
    private static let minute = 60_000

    /// Runs `body` with a client that has asked for a service's answer.
    private func with(
        patience milliseconds: Int,
        _ body: @escaping @Sendable (UpgradeServer, RawConnection, ListeningSocket.Peer) async throws -> Void
    ) async throws {
        let service = try ListeningSocket()
        defer { service.close() }
        try await UpgradeServer.with { server in
            let client = try RawConnection(port: server.port)
            defer { client.close() }
            client.send("GET /proxy/\(service.port)/\(milliseconds) HTTP/1.1\r\nHost: localhost\r\n\r\n")
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
            #expect(await peer.ends(within: 60_000))
        }
    }

    @Test
    func `a service that stops in the midst of what it has announced is given up`() async throws {
        // Long enough for the answer to begin.
        try await with(patience: 3000) { _, client, peer in
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
            #expect(await client.readHead().hasPrefix("HTTP/1.1 200"))
            let body = await client.readBytesToEnd()
            #expect(body == Array("half ".utf8))
            #expect(await peer.ends(within: 60_000))
        }
    }

    @Test
    func `a stopping server waits for an answer that has an end`() async throws {
        try await with(patience: Self.minute) { server, client, peer in
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
            _ = await client.readHead()
            #expect(await client.read(count: 5) == Array("half ".utf8))
            await server.stop()
            await RawConnection.waitUntilRefused(port: server.port)
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
            #expect(await peer.ends(within: 60_000))
        }
    }

    @Test
    func `a service is told when its client goes`() async throws {
        try await with(patience: Self.minute) { _, client, peer in
            client.finish()
            #expect(await peer.ends(within: 60_000))
        }
    }
}
