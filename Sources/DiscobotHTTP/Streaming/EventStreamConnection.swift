// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOHTTPTypes

/// The connection of an event stream, to be written to from its event loop beside the stream's own task.
///
/// For news that goes to many streams at once: a task that wakes up for each of them costs more than the writing. The
/// caller keeps the order, and writes nothing after the stream has ended.
package struct EventStreamConnection: Sendable {
    private let channel: any Channel

    package init(_ channel: any Channel) {
        self.channel = channel
    }

    package var loop: ObjectIdentifier { ObjectIdentifier(channel.eventLoop) }
    package var isWritable: Bool { channel.isWritable }

    package func onLoop(_ work: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute(work)
    }

    /// Sends frames as part of the answer's body; only while ``isWritable``, so that little piles up.
    package func send(_ frames: [UInt8]) {
        channel.writeAndFlush(HTTPResponsePart.body(ByteBuffer(bytes: frames)), promise: nil)
    }
}
