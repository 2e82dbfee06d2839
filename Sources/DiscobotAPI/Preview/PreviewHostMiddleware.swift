// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotServices
import HTTPTypes
import Hummingbird

/// Hands requests for `<session>-svc-<service>.<host>` to that service, before anything of the API sees them.
///
/// Such a host is an origin of its own to browsers, for each service of each session. The name comes from `Host`;
/// `X-Forwarded-Host` is only looked at where `Host` names no service, because a service's page may set it on requests to
/// its own host, and would read others' that way.
struct PreviewHostMiddleware: RouterMiddleware {
    typealias Context = AppRequestContext

    let preview: Preview

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        let forwarded = HTTPField.Name("X-Forwarded-Host").flatMap { request.headers[$0] }
        let label =
            request.head.authority.flatMap { PreviewLabel(host: $0) }
            ?? forwarded.flatMap { PreviewLabel(host: $0) }
        guard let label else { return try await next(request, context) }
        let target = Preview.Target(
            session: try await preview.previews.session(named: label),
            service: label.service,
            path: request.head.path ?? "/",
            headers: ProxyHeaders()
        )
        return try await preview.response(to: request, context, target)
    }
}
