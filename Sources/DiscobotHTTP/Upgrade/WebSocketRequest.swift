// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import DiscobotTunnel
import HTTPTypes
package import Hummingbird
package import NIOCore
import ServiceLifecycle

/// A request that asks for a WebSocket, and may have one.
package struct WebSocketRequest: Sendable {
    private let key: String

    /// Throws `invalidArgument`, and 426 for another version of the protocol.
    package init(_ request: Request) throws {
        guard request.upgrades.contains("websocket") else {
            throw ServerError.invalidArgument("this is a WebSocket; connect with a client of that protocol")
        }
        guard request.headers[.secWebSocketVersion] == WebSocketHandshake.version else {
            throw HTTPError(
                .upgradeRequired,
                headers: [.secWebSocketVersion: WebSocketHandshake.version, .upgrade: "websocket"],
                message: "only version \(WebSocketHandshake.version) of WebSocket is spoken here"
            )
        }
        guard let key = request.headers[.secWebSocketKey], WebSocketHandshake.isKey(key) else {
            throw ServerError.invalidArgument("Sec-WebSocket-Key must be 16 bytes in base64")
        }
        self.key = key
    }

    /// The answer after which `body` has the WebSocket, until it returns, which it must soon after
    /// ``DiscobotTunnel/WebSocket/receive()`` has returned nil. A stopping server closes the connection with 1001.
    package func response(
        on channel: any Channel,
        _ settings: WebSocket.Settings = WebSocket.Settings(),
        body: @escaping @Sendable @concurrent (WebSocket) async throws -> Void
    ) -> Response {
        .switching(
            on: channel,
            headers: [.upgrade: "websocket", .secWebSocketAccept: WebSocketHandshake.accept(key)]
        ) { tunnel in
            try await WebSocket.run(over: tunnel, as: .server, settings) { socket in
                try await withGracefulShutdownHandler {
                    try await body(socket)
                } onGracefulShutdown: {
                    socket.close(WebSocketClose(WebSocketClose.goingAway, "the server is stopping"))
                }
            }
        }
    }
}
