// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import HTTPTypes
import Hummingbird

/// Refuses requests for other names than the server's own while it listens on this machine only.
///
/// A web page can make its own host name lead to 127.0.0.1 and is then, to the browser, of one origin with the server
/// (DNS rebinding). The name in the request gives it away.
struct HostMiddleware: RouterMiddleware {
    let origins: AllowedOrigins
    /// Where the server listens, as in HOST.
    let address: String

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let authority = request.head.authority, Self.isLoopback(address), !isOwn(authority) else {
            return try await next(request, context)
        }
        return try .json(
            ErrorBody("this server does not answer for this host; name its origin in CORS_ORIGINS"),
            status: .misdirectedRequest
        )
    }

    private func isOwn(_ authority: String) -> Bool {
        Self.isLoopback(Self.host(of: authority))
            || ["http", "https"].contains { origins.matches("\($0)://\(authority)") }
    }

    static func host(of authority: String) -> String {
        if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }

    static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        let isIPv4 = host.hasPrefix("127.") && host.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
        return host == "localhost" || host.hasSuffix(".localhost") || host == "::1" || isIPv4
    }
}
