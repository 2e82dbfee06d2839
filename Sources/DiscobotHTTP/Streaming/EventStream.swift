// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
package import Hummingbird
package import NIOCore
import ServiceLifecycle

/// An answer that goes on: a stream of server-sent events.
package struct EventStream {
    private var writer: any ResponseBodyWriter

    /// Sends frames, waiting for a client that reads slowly.
    @concurrent
    package mutating func write(_ frames: [UInt8]) async throws {
        try await writer.write(ByteBuffer(bytes: frames))
    }

    /// An answer whose frames `body` writes until it returns, which it must soon after the end it is given is reached.
    ///
    /// - Parameter headers: besides those of every event stream.
    package static func response(
        to request: Request,
        on channel: any Channel,
        headers: HTTPFields = [:],
        body: @escaping @Sendable @concurrent (inout EventStream, EventStreamEnd) async throws -> Void
    ) -> Response {
        Response(
            status: .ok,
            headers: HTTPFields(Array(Self.headers) + Array(headers)),
            body: ResponseBody { writer in
                var stream = EventStream(writer: writer)
                let end = EventStreamEnd()
                try await withTaskExecutorPreference(EventLoopTaskExecutor(channel.eventLoop)) {
                    try await withGracefulShutdownHandler {
                        try await request.body.consumeWithInboundCloseHandler { _ in
                            try await body(&stream, end)
                        } onInboundClosed: {
                            end.reach()
                        }
                    } onGracefulShutdown: {
                        end.reach()
                    }
                }
                try await stream.writer.finish(nil)
            }
        )
    }

    /// The last two keep proxies from collecting the stream.
    private static let headers: HTTPFields = {
        var headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-cache", .connection: "keep-alive",
        ]
        if let buffering = HTTPField.Name("X-Accel-Buffering") { headers[buffering] = "no" }
        return headers
    }()
}
