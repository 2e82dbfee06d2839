// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotServices
import HTTPTypes
import Hummingbird

/// The addresses of services, for whoever has reached the server by some address of its own.
struct PreviewLinks: Sendable {
    let previews: PreviewService
    /// Of the listener for addresses with the service in their path; nil for none.
    let port: Int?

    /// With the service in the name of the host; nil where no name leads to it.
    func url(of service: ServiceInfo, _ session: ID<Session>, seenFrom request: Request) -> String? {
        guard let (scheme, authority) = Self.own(request),
            let label = PreviewLabel(session: session, service: service.id)
        else { return nil }
        let host = HostMiddleware.host(of: authority)
        let suffix = authority.dropFirst(authority.hasPrefix("[") ? host.count + 2 : host.count)
        // Names below `localhost` lead to this machine. An address has no names below it.
        let parent = HostMiddleware.isLoopback(host) ? "localhost" : host
        guard !parent.allSatisfy({ $0.isNumber || $0 == "." }), !parent.contains(":") else { return nil }
        return "\(scheme)://\(label.text).\(parent)\(suffix)\(service.urlPath ?? "/")"
    }

    /// With the service in the path.
    func pathURL(of service: ServiceInfo, _ session: ID<Session>, seenFrom request: Request) -> String? {
        guard let port, let (scheme, authority) = Self.own(request) else { return nil }
        let host = HostMiddleware.host(of: authority)
        let shown = host.contains(":") ? "[\(host)]" : host
        let place = PreviewPath.prefix(
            session,
            service: service.id,
            secret: previews.secret(session, service: service.id)
        )
        return "\(scheme)://\(shown):\(port)\(place)\(service.urlPath ?? "/")"
    }

    private static func own(_ request: Request) -> (scheme: String, authority: String)? {
        guard let authority = request.head.authority, !authority.isEmpty else { return nil }
        let isSecure = HTTPField.Name("X-Forwarded-Proto").map { request.headers[$0] == "https" } ?? false
        return (isSecure ? "https" : "http", authority)
    }
}
