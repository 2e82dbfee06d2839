// SPDX-License-Identifier: Apache-2.0

package import DiscobotTunnel
package import HTTPTypes
package import Hummingbird
package import NIOCore
import ServiceLifecycle

extension Request {
    /// The protocols that the client would rather speak on this connection, in lower case; empty for none.
    package var upgrades: [String] {
        guard method == .get, let upgrade = headers[.upgrade] else { return [] }
        return upgrade.split(separator: ",").map { part in
            String(part.filter { $0 != " " && $0 != "\t" }).lowercased()
        }
    }
}

extension Response {
    /// The answer 101, after which `body` has the connection to itself: bytes both ways, until it returns.
    ///
    /// Only for a request with ``Hummingbird/Request/upgrades``. A stopping server closes the tunnel.
    ///
    /// - Parameter headers: what the new protocol wants, `Upgrade` among it; `Connection` is added.
    package static func tunnel(
        on channel: any Channel,
        headers: HTTPFields,
        body: @escaping @Sendable @concurrent (ByteTunnel) async throws -> Void
    ) -> Response {
        switching(on: channel, headers: headers) { tunnel in
            try await withGracefulShutdownHandler {
                try await body(tunnel)
            } onGracefulShutdown: {
                tunnel.close()
            }
        }
    }

    static func switching(
        on channel: any Channel,
        headers: HTTPFields,
        body: @escaping @Sendable @concurrent (ByteTunnel) async throws -> Void
    ) -> Response {
        var headers = headers
        headers[.connection] = "Upgrade"
        return Response(
            status: .switchingProtocols,
            headers: headers,
            body: ResponseBody { writer in
                // The head has been handed to the connection before this is called.
                let tunnel = try await ByteTunnel.takeOver(channel)
                try await withTaskExecutorPreference(EventLoopTaskExecutor(channel.eventLoop)) {
                    do {
                        try await body(tunnel)
                        await tunnel.closeGently(patience: .seconds(3))
                    } catch {
                        tunnel.close()
                        throw error
                    }
                }
                // Nobody gets it; Hummingbird's account of the connection wants it.
                try? await writer.finish(nil)
            }
        )
    }
}
