// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
package import NIOCore
package import NIOHTTPTypes

/// Makes a request that asks for another protocol the last one of its connection.
///
/// The HTTP/1 decoder stops parsing after any request with an Upgrade header, as Java clients and `curl --http2` send it.
/// Unless its answer switches the protocol, the next request on the connection would never be seen; closing makes the
/// client open a new one. What comes after such a request is left in the socket until the answer says whose it is.
package final class UpgradeGate: ChannelDuplexHandler, RemovableChannelHandler {
    package typealias InboundIn = HTTPRequestPart
    package typealias InboundOut = HTTPRequestPart
    package typealias OutboundIn = HTTPResponsePart
    package typealias OutboundOut = HTTPResponsePart

    /// How long a client may take to read the answer and close.
    private static let closeDelay: TimeAmount = .seconds(1)

    /// Whether the answer has to say that the connection ends.
    private var isLast = false
    private var isHeld = false
    private var isSwitched = false

    package init() {}

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(var head) where head.headerFields[.upgrade] != nil:
            isLast = true
            // Without it the header is not meant for this server (RFC 9110 §7.8).
            if !Self.isUpgrade(head.headerFields[.connection]) { head.headerFields[.upgrade] = nil }
            // Makes Hummingbird read no further request.
            head.headerFields[.connection] = "close"
            context.fireChannelRead(wrapInboundOut(.head(head)))
        case .end:
            isHeld = isLast
            context.fireChannelRead(data)
        default:
            context.fireChannelRead(data)
        }
    }

    package func read(context: ChannelHandlerContext) {
        if !isHeld { context.read() }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isLast else { return context.write(data, promise: promise) }
        switch unwrapOutboundIn(data) {
        case .head(var head):
            isSwitched = head.status == .switchingProtocols
            if !isSwitched { head.headerFields[.connection] = "close" }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end where !isSwitched:
            context.write(data, promise: promise)
            let channel = context.channel
            context.eventLoop.scheduleTask(in: Self.closeDelay) { channel.close(promise: nil) }
        default:
            context.write(data, promise: promise)
        }
    }

    private static func isUpgrade(_ connection: String?) -> Bool {
        connection?.split(separator: ",").contains {
            $0.trimmingPrefix { $0 == " " || $0 == "\t" }.lowercased().hasPrefix("upgrade")
        } ?? false
    }
}
