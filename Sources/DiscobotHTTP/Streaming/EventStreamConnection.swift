// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore
import NIOHTTP1

/// The connection of an event stream, to be written to from its event loop beside the stream's own task.
///
/// For news that goes to many streams at once: a task that wakes up for each of them costs more than the writing, and so
/// does encoding the same bytes again and again. The caller keeps the order, and writes nothing after the stream has
/// ended.
package final class EventStreamConnection: Sendable {
    /// Where the answer's bytes leave the HTTP encoder.
    private struct Output {
        let encoder: ChannelHandlerContext
        let socket: NIOBSDSocket.Handle
    }

    private let channel: any Channel
    /// Once it has been looked for.
    private let output: NIOLoopBoundBox<Output?>

    package init(_ channel: any Channel) {
        self.channel = channel
        output = NIOLoopBoundBox.makeEmptyBox(eventLoop: channel.eventLoop)
    }

    package var loop: ObjectIdentifier { ObjectIdentifier(channel.eventLoop) }

    package func onLoop(_ work: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute(work)
    }

    /// Frames as a chunk of an answer's body (RFC 9112 §7.1), which all streams can share: none says its length.
    package static func chunk(of frames: [UInt8]) -> ByteBuffer {
        var chunk = ByteBuffer()
        chunk.reserveCapacity(frames.count + 16)
        chunk.writeString(String(frames.count, radix: 16) + "\r\n")
        chunk.writeBytes(frames)
        chunk.writeStaticString("\r\n")
        return chunk
    }

    /// Sends a chunk, unless the client is gone or has not taken enough of what it was sent. Only on the loop.
    package func send(_ chunk: ByteBuffer) -> Bool {
        guard channel.isActive, let output = output.value ?? findOutput() else { return false }
        var rest = chunk
        if hasUnsentBytes {
            guard channel.isWritable else { return false }
        } else {
            rest.moveReaderIndex(forwardBy: Self.send(chunk, to: output.socket))
        }
        if rest.readableBytes > 0 { output.encoder.writeAndFlush(NIOAny(IOData.byteBuffer(rest)), promise: nil) }
        return true
    }

    /// Whether something waits in the channel, which has to be sent first.
    private var hasUnsentBytes: Bool {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) != 0
    }

    /// How much the kernel took: nearly always all of it, and in half the time that a channel needs.
    private static func send(_ chunk: ByteBuffer, to socket: NIOBSDSocket.Handle) -> Int {
        let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
        // The channel finds out what an error means.
        return max(0, chunk.withUnsafeReadableBytes { Glibc.send(socket, $0.baseAddress, $0.count, flags) })
    }

    private func findOutput() -> Output? {
        let pipeline = channel.pipeline.syncOperations
        guard let encoder = try? pipeline.context(handlerType: HTTPResponseEncoder.self),
            let socket = try? pipeline.withUnsafeTransportIfAvailable({ (socket: NIOBSDSocket.Handle) in socket })
        else { return nil }
        output.value = Output(encoder: encoder, socket: socket)
        return output.value
    }
}
