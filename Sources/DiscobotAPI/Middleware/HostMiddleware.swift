// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotServices
import HTTPTypes
import Hummingbird

/// Says which host a request is for, and refuses those for other names than the server's own while it listens on this
/// machine only.
///
/// A web page can make its own host name lead to 127.0.0.1 and is then, to the browser, of one origin with the server
/// (DNS rebinding). The name in the request gives it away.
///
/// A proxy that changes `Host` says in `X-Forwarded-Host` which it was, and the request is one for that host from here on.
/// Not where `Host` names a service: proxies pass on what a service's page sets on requests to its own host, which would
/// read others' that way. Only proxies that are trusted have this header here (`ForwardedMiddleware`).
struct HostMiddleware: RouterMiddleware {
    let origins: AllowedOrigins
    /// Where the server listens, as in HOST.
    let address: String

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        let forwarded = Self.forwardedHost(of: request)
        let hosts = [request.head.authority, forwarded].compactMap(\.self)
        guard !Self.isLoopback(address) || hosts.allSatisfy(isOwn) else {
            return try .json(
                ErrorBody("this server does not answer for this host; name its origin in CORS_ORIGINS"),
                status: .misdirectedRequest
            )
        }
        guard let forwarded else { return try await next(request, context) }
        var head = request.head
        head.authority = forwarded
        return try await next(Request(head: head, body: request.body), context)
    }

    /// Nil where the request is for the host that it names itself.
    private static func forwardedHost(of request: Request) -> String? {
        guard let name = HTTPField.Name("X-Forwarded-Host"), let value = request.headers[name],
            request.head.authority.flatMap({ PreviewLabel(host: $0) }) == nil
        else { return nil }
        // Of several the last one is the trusted proxy's; those before may be anybody's.
        let host = value.split(separator: ",").last.map { $0.filter { $0 != " " && $0 != "\t" } } ?? ""
        guard !host.isEmpty, host.utf8.allSatisfy(isOfHost) else { return nil }
        // One that keeps `Host` often sends the name alone, without the port.
        return request.head.authority.map(Self.host) == host ? nil : host
    }

    private static func isOfHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._:[]".utf8.contains(byte)
        }
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
