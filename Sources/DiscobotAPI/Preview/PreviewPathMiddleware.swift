// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
package import DiscobotServices
import HTTPTypes
package import Hummingbird

/// Hands requests for `/<session>/<service>/<secret>/…` to that service, on a listener that serves nothing else.
struct PreviewPathMiddleware: RouterMiddleware {
    typealias Context = AppRequestContext

    let preview: Preview

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let path = request.head.path.flatMap({ PreviewPath($0) }),
            let session = try await preview.previews.session(path.session, service: path.service, secret: path.secret)
        else { throw ServerError.notFound("there is no such service; its address is in the list of services") }
        if Self.isPreflight(request) { return Response(status: .noContent, headers: Self.permissions) }
        guard path.rest.hasPrefix("/") else {
            return Response(status: .temporaryRedirect, headers: [.location: "\(path.prefix)/\(path.rest)"])
        }
        let target = Preview.Target(
            session: session,
            service: path.service,
            path: path.rest,
            headers: ProxyHeaders(prefix: path.prefix)
        )
        return try await preview.response(to: request, context, target)
    }

    private static func isPreflight(_ request: Request) -> Bool {
        request.method == .options && request.headers[.accessControlRequestMethod] != nil
    }

    private static let permissions: HTTPFields = [
        .accessControlAllowOrigin: "*", .accessControlAllowMethods: "*", .accessControlAllowHeaders: "*",
        .accessControlMaxAge: "300",
    ]
}

extension Router<AppRequestContext> {
    /// The router of the listener for services without host names of their own.
    package convenience init(
        previews: PreviewService,
        origins: AllowedOrigins,
        address: String,
        proxies: TrustedProxies
    ) {
        self.init(context: AppRequestContext.self)
        addMiddleware {
            // Its paths hold secrets, so it has no log of access.
            ForwardedMiddleware(proxies: proxies)
            HostMiddleware(origins: origins, address: address)
            ErrorMiddleware { _ in [] }
            PreviewPathMiddleware(preview: Preview(previews: previews))
        }
    }
}
