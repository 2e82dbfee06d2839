// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Closes a connection whose client has stopped reading: one that takes nothing of what waits for it for a whole
/// `timeout`.
///
/// Writers wait for such a client, so without this they and what they hold would wait for ever.
package final class WriteTimeoutHandler: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = NIOAny
    package typealias InboundOut = NIOAny

    private let timeout: TimeAmount
    private var deadline: Scheduled<Void>?

    package init(timeout: TimeAmount) {
        self.timeout = timeout
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
        if !context.channel.isWritable { watch(context.channel) }
        context.fireChannelWritabilityChanged()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    /// Looks again after the timeout, because a slow client that reads keeps its connection.
    private func watch(_ channel: any Channel) {
        let waiting = Self.waitingBytes(channel)
        let isStuck = NIOLoopBound(self, eventLoop: channel.eventLoop)
        deadline = channel.eventLoop.scheduleTask(in: timeout) {
            guard Self.waitingBytes(channel) < waiting else { return channel.close(promise: nil) }
            isStuck.value.watch(channel)
        }
    }

    private static func waitingBytes(_ channel: any Channel) -> Int {
        (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}
