// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOHTTP1

extension WebSocket {
    /// Why there is no connection.
    package enum ConnectError: Error, Sendable {
        /// The server answered something else.
        case refused(HTTPResponseHead, body: ByteBuffer)
        case invalidAnswer
    }

    /// Connects to a server; the caller runs the connection by ``run(over:as:_:body:)`` as a client.
    ///
    /// Throws ``ConnectError``, and what `UpgradeClient.connect` throws.
    ///
    /// - Parameter headers: besides those of the upgrade; a `Host` should be among them.
    package static func connect(
        to address: UpgradeClient.Address,
        uri: String,
        headers: HTTPHeaders,
        on eventLoop: any EventLoop,
        timeout: TimeAmount = .seconds(30)
    ) async throws -> ByteTunnel {
        let key = WebSocketHandshake.randomKey()
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: uri, headers: headers)
        head.headers.add(name: "Connection", value: "Upgrade")
        head.headers.add(name: "Upgrade", value: "websocket")
        head.headers.add(name: "Sec-WebSocket-Key", value: key)
        head.headers.add(name: "Sec-WebSocket-Version", value: WebSocketHandshake.version)
        switch try await UpgradeClient.connect(to: address, head, on: eventLoop, timeout: timeout) {
        case .refused(let head, let body): throw ConnectError.refused(head, body: body)
        case .switched(let head, let tunnel):
            guard head.headers.first(name: "Sec-WebSocket-Accept") == WebSocketHandshake.accept(key),
                !head.headers.contains(name: "Sec-WebSocket-Extensions")
            else {
                tunnel.close()
                throw ConnectError.invalidAnswer
            }
            return tunnel
        }
    }
}
