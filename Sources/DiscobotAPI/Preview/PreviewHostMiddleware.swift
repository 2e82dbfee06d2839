// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotServices
import HTTPTypes
import Hummingbird

/// Hands requests for `<session>-svc-<service>.<host>` to that service, before anything of the API sees them.
///
/// Such a host is an origin of its own to browsers, for each service of each session.
struct PreviewHostMiddleware: RouterMiddleware {
    typealias Context = AppRequestContext

    let preview: Preview
    let origins: AllowedOrigins

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let host = request.head.authority, let label = PreviewLabel(host: host) else {
            return try await next(request, context)
        }
        guard isAllowed(request, host) else {
            return try .json(ErrorBody("requests from this origin are not allowed"), status: .forbidden)
        }
        let target = Preview.Target(
            session: try await preview.previews.session(named: label),
            service: label.service,
            path: request.head.path ?? "/",
            headers: ProxyHeaders()
        )
        return try await preview.response(to: request, context, target)
    }

    /// Whether the page that sends the request may: browsers let any page open WebSockets to a service and read them, and
    /// send simple requests, and development servers do not look.
    private func isAllowed(_ request: Request, _ host: String) -> Bool {
        guard let origin = request.headers[.origin] else { return true }
        if [.get, .head, .options].contains(request.method), request.upgrades.isEmpty { return true }
        guard let scheme = origin.firstRange(of: "://") else { return false }
        return Self.isOfSameSession(String(origin[scheme.upperBound...]), host) || origins.contains(origin)
    }

    private static func isOfSameSession(_ one: String, _ other: String) -> Bool {
        func domain(_ host: String) -> String { host.drop { $0 != "." && $0 != ":" }.lowercased() }
        guard let session = PreviewLabel(host: one)?.session else { return false }
        return session == PreviewLabel(host: other)?.session && domain(one) == domain(other)
    }
}
