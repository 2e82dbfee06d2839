// SPDX-License-Identifier: Apache-2.0

import DiscobotTunnel
import NIOCore
import Synchronization

/// Closes a tunnel when the client of a connection goes, which nobody would notice while the service is silent.
final class ClientWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private struct State {
        var isGone = false
        var tunnel: ByteTunnel?
    }

    private let channel: any Channel
    private let state = Mutex(State())

    var isGone: Bool { state.withLock { $0.isGone } }

    private init(_ channel: any Channel) {
        self.channel = channel
    }

    static func begin(on channel: any Channel) async -> ClientWatch {
        let watch = ClientWatch(channel)
        do {
            try await channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(watch, position: .first)
                if !channel.isActive { watch.clientHasGone() }
            }.get()
        } catch {
            watch.clientHasGone()
        }
        return watch
    }

    /// The tunnel to close, at once when the client has gone already; in the place of the one before.
    func watch(for tunnel: ByteTunnel) {
        let isGone = state.withLock { state in
            state.tunnel = tunnel
            return state.isGone
        }
        if isGone { tunnel.close() }
    }

    func end() async {
        state.withLock { $0.tunnel = nil }
        // The connection may be gone, with all its handlers.
        try? await channel.pipeline.removeHandler(self).get()
    }

    private func clientHasGone() {
        let tunnel = state.withLock { state in
            state.isGone = true
            return state.tunnel
        }
        tunnel?.close()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { clientHasGone() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        clientHasGone()
        context.fireChannelInactive()
    }
}
