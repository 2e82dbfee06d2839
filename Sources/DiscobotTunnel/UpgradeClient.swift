// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOHTTP1
import NIOPosix

/// Asks an HTTP/1.1 server for another protocol, on a connection of its own.
package enum UpgradeClient {
    package enum Address: Sendable, Equatable {
        case unixSocket(path: String)
        case tcp(host: String, port: Int)
    }

    /// What the server answered.
    package enum Answer: Sendable {
        /// It speaks the other protocol now: what it said before, and the connection.
        case switched(HTTPResponseHead, ByteTunnel)
        /// It answered as usual; a body above the limit is cut off.
        case refused(HTTPResponseHead, body: ByteBuffer)
    }

    /// Sends a request without a body. Throws what connecting throws, and `ChannelError` when the server breaks off or
    /// takes longer than `timeout`.
    ///
    /// - Parameter head: with all its headers; `Connection` and `Upgrade` are the caller's affair.
    package static func connect(
        to address: Address,
        _ head: HTTPRequestHead,
        on eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next(),
        timeout: TimeAmount = .seconds(30),
        bodyLimit: Int = 1 << 20
    ) async throws -> Answer {
        let answer = eventLoop.makePromise(of: Answer.self)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(5))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    KeepAlive.enable(on: channel)
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTPRequestEncoder())
                    try pipeline.addHandler(
                        ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes))
                    )
                    try pipeline.addHandler(UpgradeClientHandler(answer, bodyLimit: bodyLimit))
                }
            }
        let channel: any Channel
        do {
            channel =
                switch address {
                case .unixSocket(let path): try await bootstrap.connect(unixDomainSocketPath: path).get()
                case .tcp(let host, let port): try await bootstrap.connect(host: host, port: port).get()
                }
        } catch {
            answer.fail(error)
            throw error
        }
        return try await withTaskCancellationHandler {
            channel.write(HTTPClientRequestPart.head(head), promise: nil)
            channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
            let deadline = channel.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
            defer { deadline.cancel() }
            return try await answer.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}

/// Waits for the head of the answer, and takes the connection over or reads the rest.
private final class UpgradeClientHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = Never

    private let answer: EventLoopPromise<UpgradeClient.Answer>
    private let bodyLimit: Int
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(_ answer: EventLoopPromise<UpgradeClient.Answer>, bodyLimit: Int) {
        self.answer = answer
        self.bodyLimit = bodyLimit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body(var bytes):
            guard body.readableBytes + bytes.readableBytes <= bodyLimit else { return refused(context) }
            body.writeBuffer(&bytes)
        case .end:
            guard head?.status == .switchingProtocols else { return refused(context) }
            takeOver(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }

    private func refused(_ context: ChannelHandlerContext) {
        if let head { answer.succeed(.refused(head, body: body)) }
        context.close(promise: nil)
    }

    private func takeOver(_ context: ChannelHandlerContext) {
        guard let head else { return }
        let channel = context.channel
        let answer = answer
        // Not from within the decoder, which has to go.
        channel.eventLoop.execute {
            ByteTunnel.takeOver(
                channel,
                decoder: ByteToMessageHandler<HTTPResponseDecoder>.self,
                encoder: HTTPRequestEncoder.self
            )
            .map { UpgradeClient.Answer.switched(head, $0) }
            .cascade(to: answer)
        }
    }
}
