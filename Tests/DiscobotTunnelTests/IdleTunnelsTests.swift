// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import DiscobotTunnel

/// Connections that wait for their next use.
@Suite(.timeLimit(.minutes(10)))
struct IdleTunnelsTests {
    private let loop = NIOAsyncTestingEventLoop()

    private func connect() async throws -> (channel: NIOAsyncTestingChannel, owner: TunnelOwner) {
        let channel = NIOAsyncTestingChannel(loop: loop)
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        let owner = try await loop.submit {
            let handler = TunnelHandler()
            try channel.pipeline.syncOperations.addHandler(handler)
            handler.start()
            return TunnelOwner(ByteTunnel(channel, handler))
        }.get()
        return (channel, owner)
    }

    /// Keeps a new connection, which nobody else holds then.
    private func keep(in place: IdleTunnels.Place) async throws -> NIOAsyncTestingChannel {
        let (channel, owner) = try await connect()
        place.keep(owner)
        return channel
    }

    @Test
    func `what nobody takes is closed after three seconds`() async throws {
        let place = IdleTunnels().place("a")
        let channel = try await keep(in: place)
        await loop.advanceTime(by: .milliseconds(2900))
        let other = try await keep(in: place)
        #expect(channel.isActive)
        await loop.advanceTime(by: .milliseconds(100))
        #expect(!channel.isActive && other.isActive)
        await loop.advanceTime(by: .seconds(3))
        #expect(!other.isActive)
        #expect(await place.take() == nil)
    }

    @Test
    func `what has been taken is not closed`() async throws {
        let place = IdleTunnels().place("a")
        let channel = try await keep(in: place)
        let taken = await place.take()
        await loop.advanceTime(by: .seconds(10))
        #expect(channel.isActive && taken != nil)
        #expect(await place.take() == nil)
    }

    @Test
    func `no more than eight are kept in a place, and those of others do not count`() async throws {
        let tunnels = IdleTunnels()
        var channels: [NIOAsyncTestingChannel] = []
        for _ in 0..<9 { channels.append(try await keep(in: tunnels.place("a"))) }
        let other = try await keep(in: tunnels.place("b"))
        await loop.run()
        #expect(channels.map(\.isActive) == Array(repeating: true, count: 8) + [false])
        tunnels.close("a")
        await loop.run()
        #expect(channels.allSatisfy { !$0.isActive } && other.isActive)
    }

    @Test
    func `one on which the peer has spoken, or that it has closed, is not taken`() async throws {
        let place = IdleTunnels().place("a")
        let untouched = try await keep(in: place)
        let spoken = try await keep(in: place)
        try await spoken.writeInbound(ByteBuffer(string: "HTTP/1.1 408 Request Timeout\r\n\r\n"))
        let closed = try await keep(in: place)
        try await closed.close()
        let taken = try #require(await place.take())
        #expect(untouched.isActive && !spoken.isActive)
        #expect(await place.take() == nil)
        taken.tunnel.close()
        await loop.run()
        #expect(!untouched.isActive)
    }
}
