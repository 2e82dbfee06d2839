// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The end of a connection's pipeline that a ``ByteTunnel`` reads from and writes to.
///
/// It reads from the socket by itself, only when somebody waits or little is kept, and swallows what handlers behind it,
/// which served the connection before, still want to send.
final class TunnelHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = Never
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// How much is kept for a reader who is busy.
    private static let bufferLimit = 64 << 10

    private enum End {
        case none, closed
        case failed(any Error)
    }

    private var context: ChannelHandlerContext?
    private var buffered: [ByteBuffer] = []
    private var bufferedBytes = 0
    private var waiter: EventLoopPromise<ByteBuffer?>?
    private var end = End.none
    /// Whether the socket has not been asked for more because nobody takes what has come.
    private var isPaused = false
    private var isDiscarding = false
    private var whenClosed: (() -> Void)?

    var isListening: Bool { waiter != nil }

    var isUntouched: Bool {
        guard case .none = end, let context else { return false }
        return buffered.isEmpty && context.channel.isActive
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        // Reading by itself would never get past `read(context:)`, and a handler for TLS would count on it.
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(.closed)
        self.context = nil
    }

    /// Begins to read.
    func start() {
        context?.read()
    }

    func read(_ waiter: EventLoopPromise<ByteBuffer?>) {
        if let next = buffered.first {
            buffered.removeFirst()
            bufferedBytes -= next.readableBytes
            waiter.succeed(next)
            resume()
            return
        }
        switch end {
        case .none:
            self.waiter = waiter
            resume()
        case .closed: waiter.succeed(nil)
        case .failed(let error): waiter.fail(error)
        }
    }

    func giveUp(_ waiter: EventLoopPromise<ByteBuffer?>) {
        if self.waiter?.futureResult == waiter.futureResult { self.waiter = nil }
        waiter.fail(CancellationError())
    }

    func write(_ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: promise)
    }

    func close() {
        context?.close(promise: nil)
    }

    func closeGently(_ patience: TimeAmount, whenClosed: @escaping () -> Void) {
        guard let context, context.channel.isActive else { return whenClosed() }
        self.whenClosed = whenClosed
        if case .none = end {
            isDiscarding = true
            resume()
            context.close(mode: .output, promise: nil)
            let channel = context.channel
            context.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
        } else {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        guard !isDiscarding, bytes.readableBytes > 0 else { return }
        if let waiter {
            self.waiter = nil
            waiter.succeed(bytes)
        } else {
            buffered.append(bytes)
            bufferedBytes += bytes.readableBytes
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isDiscarding || bufferedBytes < Self.bufferLimit {
            context.read()
        } else {
            isPaused = true
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            finish(.closed)
            if isDiscarding { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.failed(error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.closed)
        context.fireChannelInactive()
    }

    /// Reading is this handler's own affair.
    func read(context: ChannelHandlerContext) {}

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.succeed()
    }

    private func resume() {
        guard isPaused, isDiscarding || bufferedBytes < Self.bufferLimit else { return }
        isPaused = false
        context?.read()
    }

    private func finish(_ end: End) {
        if case .none = self.end { self.end = end }
        if let waiter {
            self.waiter = nil
            if case .failed(let error) = end { waiter.fail(error) } else { waiter.succeed(nil) }
        }
        if let context, !context.channel.isActive {
            whenClosed?()
            whenClosed = nil
        }
    }
}
