// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// Tells what comes through a pipe.
///
/// Not a `DispatchSource`: cancelling one while its pipe ends crashes libdispatch's event loop on Linux now and then.
final class PipeWatch: Sendable {
    enum News {
        case bytes
        /// Nobody holds the writing end.
        case end
    }

    /// Returns whether it has heard enough.
    typealias Listener = @Sendable (News) -> Bool

    private let channel: EventLoopFuture<any Channel>
    /// Nil when enough has been heard.
    private let listener: Mutex<Listener?>

    /// Takes over the descriptor, and lets go of it when the listener has enough, when the pipe ends, and by `cancel`.
    init(_ descriptor: CInt, listener: @escaping Listener) {
        self.listener = Mutex(listener)
        let opened = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: (any Channel).self)
        channel = opened.futureResult
        NIOPipeBootstrap(group: opened.futureResult.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PipeHandler { self.tell($0) })
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            .cascade(to: opened)
        channel.whenFailure { _ in
            close(descriptor)
            self.tell(.end)
        }
    }

    func cancel() {
        listener.withLock { $0 = nil }
        channel.whenSuccess { $0.close(promise: nil) }
    }

    private func tell(_ news: News) {
        guard let listener = listener.withLock(\.self), listener(news) else { return }
        cancel()
    }
}

private final class PipeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let tell: (PipeWatch.News) -> Void

    init(_ tell: @escaping (PipeWatch.News) -> Void) {
        self.tell = tell
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { tell(.bytes) }

    func channelInactive(context: ChannelHandlerContext) { tell(.end) }
}
