// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOPosix

extension ByteTunnel {
    /// A tunnel to a TCP port. Throws what connecting throws.
    package static func connect(
        host: String,
        port: Int,
        on eventLoop: any EventLoop,
        timeout: TimeAmount = .seconds(5)
    ) async throws -> ByteTunnel {
        let channel = try await ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    KeepAlive.enable(on: channel)
                    try channel.pipeline.syncOperations.addHandler(TunnelHandler())
                }
            }
            .connect(host: host, port: port)
            .get()
        return try await channel.eventLoop.submit {
            let handler = try channel.pipeline.syncOperations.handler(type: TunnelHandler.self)
            handler.start()
            return ByteTunnel(channel, handler)
        }.get()
    }
}

/// Closes a tunnel when nobody holds it any more, for one that waits for its use.
package final class TunnelOwner: Sendable {
    package let tunnel: ByteTunnel

    package init(_ tunnel: ByteTunnel) {
        self.tunnel = tunnel
    }

    deinit {
        tunnel.close()
    }
}
