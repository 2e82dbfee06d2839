// SPDX-License-Identifier: Apache-2.0

package import DiscobotTunnel
import HTTPTypes
package import Hummingbird
package import NIOCore

/// Passes one request on to a service, and its answer back: both bodies piece by piece, each side no faster than the other
/// takes it.
package struct ReverseProxy: Sendable {
    /// The path and query that the service is asked for.
    package let path: String
    package let headers: ProxyHeaders
    /// How long the service may take to begin its answer after the last piece of the request.
    package var patience = TimeAmount.seconds(300)
    /// How long one side of a WebSocket may go on when the other has ended.
    package var closePatience = TimeAmount.seconds(10)

    package init(path: String, headers: ProxyHeaders) {
        self.path = path
        self.headers = headers
    }

    /// Throws `ProxyError`, and what `connect` throws, while nothing has been answered.
    ///
    /// - Parameter place: where connections to the service are kept between requests; nil for nowhere.
    package func response(
        to request: Request,
        on channel: any Channel,
        keepingIn place: IdleTunnels.Place? = nil,
        connect: () async throws -> TunnelOwner
    ) async throws -> Response {
        let wantsWebSocket = request.upgrades.contains("websocket")
        let framing = try ProxyFraming(request)
        // Only what may be sent twice: a service may close a kept connection at the moment of its next use.
        let isRepeatable = framing == .none && !wantsWebSocket && [.get, .head, .options].contains(request.method)
        let place = isRepeatable ? place : nil
        let connection = wantsWebSocket ? "Upgrade\r\nUpgrade: websocket" : place == nil ? "close" : "keep-alive"
        let exchange = ProxyExchange(
            request: request,
            channel: channel,
            framing: framing,
            head: try head(of: request, channel, framing, connection: connection),
            headers: headers,
            patience: patience,
            closePatience: closePatience,
            watch: await ClientWatch.begin(on: channel),
            place: place
        )
        do {
            if let kept = await place?.take(), let response = try await exchange.response(over: kept, isKept: true) {
                return response
            }
            let fresh = try await connect()
            guard let response = try await exchange.response(over: fresh, isKept: false) else {
                throw ProxyError.noAnswer
            }
            return response
        } catch {
            await exchange.watch.end()
            throw error
        }
    }

    private func head(
        of request: Request,
        _ channel: any Channel,
        _ framing: ProxyFraming,
        connection: String
    ) throws -> ByteBuffer {
        let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
        guard path.hasPrefix("/"), isPlain, let authority = request.head.authority,
            !authority.contains(where: \.isNewline)
        else { throw ProxyError(.badRequest, "the request cannot be passed on") }
        let client = channel.remoteAddress?.ipAddress
        var text = "\(request.method.rawValue) \(path) HTTP/1.1\r\nHost: \(authority)\r\n"
        for field in headers.request(
            request.headers,
            authority: authority,
            path: request.head.path ?? "/",
            client: client
        ) {
            text += "\(field.name): \(field.value)\r\n"
        }
        text += "\(framing.field)Connection: \(connection)\r\n\r\n"
        return ByteBuffer(string: text)
    }
}
