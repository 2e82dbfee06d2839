// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOHTTP1
import NIOPosix

extension ByteTunnel {
    /// Takes an HTTP connection over whose present request has been answered by 101, once that answer was handed to the
    /// channel. What the client has sent after the request comes first.
    ///
    /// The pipeline must begin with the response encoder and a request decoder that forwards the bytes it has left over.
    package static func takeOver(_ channel: any Channel) async throws -> ByteTunnel {
        try await channel.eventLoop.flatSubmit {
            takeOver(
                channel,
                decoder: ByteToMessageHandler<HTTPRequestDecoder>.self,
                encoder: HTTPResponseEncoder.self
            )
        }.get()
    }

    /// A tunnel on a descriptor for both directions, which it owns from now on, also when this throws.
    package static func open(descriptor: Int32, on eventLoop: any EventLoop) async throws -> ByteTunnel {
        let channel = try await NIOPipeBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TunnelHandler())
                }
            }
            .takingOwnershipOfDescriptor(inputOutput: descriptor)
            .get()
        return try await channel.eventLoop.submit {
            let handler = try channel.pipeline.syncOperations.handler(type: TunnelHandler.self)
            handler.start()
            return ByteTunnel(channel, handler)
        }.get()
    }

    /// Puts a tunnel in the place of the codec of HTTP; only on the event loop.
    static func takeOver<Decoder: RemovableChannelHandler, Encoder: RemovableChannelHandler>(
        _ channel: any Channel,
        decoder: Decoder.Type,
        encoder: Encoder.Type
    ) -> EventLoopFuture<ByteTunnel> {
        let pipeline = channel.pipeline.syncOperations
        do {
            let decoder = try pipeline.context(handlerType: decoder)
            let encoder = try pipeline.context(handlerType: encoder)
            let handler = TunnelHandler()
            // Before the decoder goes, since what it has left over comes to its neighbour.
            try pipeline.addHandler(handler, position: .after(decoder.handler))
            let tunnel = ByteTunnel(channel, handler)
            let start = NIOLoopBound(handler, eventLoop: channel.eventLoop)
            return pipeline.removeHandler(context: encoder)
                .and(pipeline.removeHandler(context: decoder))
                .map { _ in
                    start.value.start()
                    return tunnel
                }
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
    }
}
