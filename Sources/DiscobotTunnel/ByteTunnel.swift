// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Bytes both ways over a connection that speaks no protocol of ours, or one that the caller speaks.
///
/// Reading is pull-based: what nobody reads stays with the peer. One task may read and many may write.
package struct ByteTunnel: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<TunnelHandler>

    /// Only on the channel's event loop.
    init(_ channel: any Channel, _ handler: TunnelHandler) {
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    package var eventLoop: any EventLoop { channel.eventLoop }
    package var isWritable: Bool { channel.isWritable }

    /// What has come; nil when the peer sends nothing more. Throws when the connection breaks, and `CancellationError`.
    package func read() async throws -> ByteBuffer? {
        let waiter = eventLoop.makePromise(of: ByteBuffer?.self)
        return try await withTaskCancellationHandler {
            onLoop { $0.read(waiter) }
            return try await waiter.futureResult.get()
        } onCancel: {
            // On the loop, so that a waiter that is given up never takes bytes along.
            onLoop { $0.giveUp(waiter) }
        }
    }

    /// Returns when the kernel has taken the bytes. Throws when the connection is closed; a cancelled task stops waiting,
    /// and the bytes are sent all the same.
    package func write(_ bytes: ByteBuffer) async throws {
        let promise = eventLoop.makePromise(of: Void.self)
        try await withTaskCancellationHandler {
            onLoop { $0.write(bytes, promise) }
            try await promise.futureResult.get()
        } onCancel: {
            promise.fail(CancellationError())
        }
    }

    /// Sends bytes without waiting, so only few.
    func post(_ bytes: ByteBuffer) {
        onLoop { $0.write(bytes, nil) }
    }

    /// Tells the peer that nothing more comes from here.
    package func finish() {
        channel.close(mode: .output, promise: nil)
    }

    /// Ends the connection; who reads gets the end.
    package func close() {
        onLoop { $0.close() }
    }

    /// Ends the connection so that what was written still arrives: the peer has `patience` to close its side.
    package func closeGently(patience: TimeAmount) async {
        await withCheckedContinuation { continuation in
            onLoop { $0.closeGently(patience) { continuation.resume() } }
        }
    }

    /// Ends the connection after a while, if it has not ended by then.
    package func close(in delay: TimeAmount) {
        eventLoop.scheduleTask(in: delay) { close() }
    }

    /// Whether the connection is open and the peer has said nothing that nobody has read.
    func isUntouched() async -> Bool {
        let handler = handler
        return (try? await eventLoop.submit { handler.value.isUntouched }.get()) ?? false
    }

    /// How many bytes have been written that the kernel has not taken.
    func waitingBytes() async -> Int {
        (try? await channel.getOption(.bufferedWritableBytes).get()) ?? 0
    }

    /// Whether somebody waits for the peer to say something.
    func isListening() async -> Bool {
        let handler = handler
        return (try? await eventLoop.submit { handler.value.isListening }.get()) ?? false
    }

    /// Puts a handler between the network and the tunnel, such as one for TLS.
    package func insert(_ make: @escaping @Sendable () throws -> any ChannelHandler) async throws {
        let channel = channel
        try await eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(try make(), position: .first)
        }.get()
    }

    private func onLoop(_ work: @escaping @Sendable (TunnelHandler) -> Void) {
        let handler = handler
        eventLoop.execute { work(handler.value) }
    }
}

extension ByteTunnel {
    /// Carries bytes both ways between two tunnels until both directions have ended, or one breaks.
    ///
    /// - Parameter patience: how long one direction may go on when the other has ended: a peer that does not care for the
    ///   end of the other one would keep both connections for ever.
    package static func join(
        _ first: ByteTunnel,
        _ second: ByteTunnel,
        patience: TimeAmount = .seconds(10)
    ) async {
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await copy(from: first, to: second) }
                group.addTask { await copy(from: second, to: first) }
                _ = await group.next()
                let end = first.eventLoop.scheduleTask(in: patience) {
                    first.close()
                    second.close()
                }
                await group.waitForAll()
                end.cancel()
            }
        } onCancel: {
            first.close()
            second.close()
        }
        first.close()
        second.close()
    }

    private static func copy(from source: ByteTunnel, to target: ByteTunnel) async {
        do {
            while let bytes = try await source.read() { try await target.write(bytes) }
            target.finish()
        } catch {
            source.close()
            target.close()
        }
    }
}
