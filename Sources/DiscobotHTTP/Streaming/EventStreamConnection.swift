// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOHTTP1

/// The connection of an event stream, to be written to from its event loop beside the stream's own task.
///
/// For news that goes to many streams at once: a task that wakes up for each of them costs more than the writing, and so
/// does encoding the same bytes again and again. The caller keeps the order, and writes nothing after the stream has
/// ended.
package struct EventStreamConnection: Sendable {
    private let channel: any Channel
    /// Where the answer's bytes leave the HTTP encoder, once that has been looked for.
    private let output: NIOLoopBoundBox<ChannelHandlerContext?>

    package init(_ channel: any Channel) {
        self.channel = channel
        output = NIOLoopBoundBox.makeEmptyBox(eventLoop: channel.eventLoop)
    }

    package var loop: ObjectIdentifier { ObjectIdentifier(channel.eventLoop) }
    package var isWritable: Bool { channel.isWritable }

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

    /// Sends a chunk; only on the loop, and only while ``isWritable``, so that little piles up.
    package func send(_ chunk: ByteBuffer) {
        // The encoder is gone when the connection is.
        guard let output = output.value ?? findOutput() else { return }
        output.writeAndFlush(NIOAny(IOData.byteBuffer(chunk)), promise: nil)
    }

    private func findOutput() -> ChannelHandlerContext? {
        output.value = try? channel.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
        return output.value
    }
}
