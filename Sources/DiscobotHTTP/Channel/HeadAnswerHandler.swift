// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Ends answers to HEAD with their heads.
///
/// The encoder knows only the answer. One that does not say its length gets `Transfer-Encoding: chunked`, as the answer to
/// GET would, but then also the last chunk, which the client takes for the beginning of the next answer.
final class HeadAnswerHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// Of the requests that have no whole answer yet, whether they are HEAD; as many as the channel reads ahead.
    private var isHead = CircularBuffer<Bool>()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) { isHead.append(head.method == .head) }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head: context.write(data, promise: promise)
        case .body:
            guard isHead.first == true else { return context.write(data, promise: promise) }
            promise?.succeed()
        case .end:
            guard isHead.popFirst() == true else { return context.write(data, promise: promise) }
            promise?.succeed()
        }
    }
}
