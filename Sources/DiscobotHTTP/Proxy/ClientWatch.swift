// SPDX-License-Identifier: Apache-2.0

import DiscobotTunnel
import NIOCore

/// Closes a tunnel when the client of a connection goes, which nobody would notice while the service is silent.
final class ClientWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private let channel: any Channel
    private let tunnel: ByteTunnel

    private init(_ channel: any Channel, _ tunnel: ByteTunnel) {
        self.channel = channel
        self.tunnel = tunnel
    }

    static func begin(on channel: any Channel, _ tunnel: ByteTunnel) async -> ClientWatch {
        let watch = ClientWatch(channel, tunnel)
        do {
            try await channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(watch, position: .first)
                if !channel.isActive { tunnel.close() }
            }.get()
        } catch {
            tunnel.close()
        }
        return watch
    }

    func end() async {
        // The connection may be gone, with all its handlers.
        try? await channel.pipeline.removeHandler(self).get()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { tunnel.close() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        tunnel.close()
        context.fireChannelInactive()
    }
}
