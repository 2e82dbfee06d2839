// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import HTTPTypes
import Hummingbird

/// Takes away what a request says of the way it came, unless a proxy says it that the server was told to trust; so nobody
/// behind this has to ask who wrote such headers.
struct ForwardedMiddleware: RouterMiddleware {
    typealias Context = AppRequestContext

    let proxies: TrustedProxies

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        let isForwarded = request.headers.contains { Self.isOfProxy($0.name) }
        guard isForwarded, !proxies.contains(context.channel.remoteAddress) else {
            return try await next(request, context)
        }
        var head = request.head
        head.headerFields = HTTPFields(head.headerFields.filter { !Self.isOfProxy($0.name) })
        return try await next(Request(head: head, body: request.body), context)
    }

    private static func isOfProxy(_ name: HTTPField.Name) -> Bool {
        // Some services read both spellings as one.
        let name = name.canonicalName.replacing("_", with: "-")
        return name == "forwarded" || name == "x-real-ip" || name.hasPrefix("x-forwarded-")
    }
}
