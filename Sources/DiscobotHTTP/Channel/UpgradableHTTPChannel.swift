// SPDX-License-Identifier: Apache-2.0

import DiscobotTunnel
package import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// A connection of Hummingbird's whose decoder keeps what follows a request for another protocol, so that
/// `Response.tunnel` and `Response.webSocket` can take the connection over.
private struct UpgradableHTTPChannel: ServerChildChannel, HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// Also of a connection that never sends a request.
    private static let idleTimeout: Duration = .seconds(120)
    private static let writeTimeout: TimeAmount = .seconds(30)

    let responder: HTTPChannelHandler.Responder

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            KeepAlive.enable(on: channel)
            let pipeline = channel.pipeline.syncOperations
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = 80 << 10
            limits.maxHeaderListSize = 80 << 10
            limits.maxHeaderFieldCount = 1000
            let decoder = HTTPRequestDecoder(
                leftOverBytesStrategy: .forwardBytes,
                informationalResponseStrategy: .drop,
                limitConfiguration: limits
            )
            try pipeline.addHandlers([
                HTTPResponseEncoder(), ByteToMessageHandler(decoder), HTTP1ToHTTPServerCodec(secure: false),
                HeadAnswerHandler(), UpgradeGate(), WriteTimeoutHandler(timeout: Self.writeTimeout),
                HTTPConnectionStateHandler(idleTimeout: Self.idleTimeout, logger: logger),
            ])
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel,
                configuration: .init(isOutboundHalfClosureEnabled: true)
            )
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}

extension HTTPServerBuilder {
    /// What both executables serve with.
    package static var upgradableHTTP1: HTTPServerBuilder {
        HTTPServerBuilder { UpgradableHTTPChannel(responder: $0) }
    }
}
