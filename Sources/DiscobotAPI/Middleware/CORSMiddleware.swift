// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird
import Logging

/// Lets pages of the allowed origins call the server, and keeps pages of all others from changing anything.
///
/// A browser sends simple requests of any page, cookies included, and only hides the answer. So a request that can
/// change something and comes from a foreign page is refused, whatever its content type.
struct CORSMiddleware: RouterMiddleware {
    let origins: AllowedOrigins
    /// Whether to log what becomes of each request with an origin, as CORS_DEBUG asks for.
    let logsOrigins: Bool

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        var response = try await answer(request, context, next: next)
        // Also where no origin was given: a cache must not hand that answer to a page.
        response.headers[.vary] = "Origin"
        return response
    }

    private func answer(
        _ request: Request,
        _ context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin], !isSameOrigin(origin, request) else {
            return try await next(request, context)
        }
        let isAllowed = origins.contains(origin)
        if logsOrigins {
            context.logger.notice(
                "request of another origin",
                metadata: ["origin": "\(origin)", "allowed": "\(isAllowed)", "method": "\(request.method)"]
            )
        }
        guard isAllowed else { return try await answerForeign(request, context, next: next) }
        var response =
            isPreflight(request)
            ? Response(status: .noContent, headers: Self.permissions) : try await next(request, context)
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.accessControlAllowCredentials] = "true"
        response.headers[.accessControlExposeHeaders] = "ETag, Link, X-Request-Id"
        return response
    }

    private func answerForeign(
        _ request: Request,
        _ context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        // What a WebSocket or a tunnel says cannot be hidden from the page afterwards.
        guard [.get, .head, .options].contains(request.method), request.upgrades.isEmpty else {
            return try .json(
                ErrorBody("requests from this origin are not allowed; see CORS_ORIGINS"),
                status: .forbidden
            )
        }
        return isPreflight(request) ? Response(status: .noContent) : try await next(request, context)
    }

    private func isPreflight(_ request: Request) -> Bool {
        request.method == .options && request.headers[.accessControlRequestMethod] != nil
    }

    private func isSameOrigin(_ origin: String, _ request: Request) -> Bool {
        guard let host = request.head.authority else { return false }
        return origin == "http://\(host)" || origin == "https://\(host)"
    }

    private static let permissions: HTTPFields = [
        .accessControlAllowMethods: "GET, POST, PUT, PATCH, DELETE, OPTIONS",
        .accessControlAllowHeaders:
            "Accept, Authorization, Content-Type, X-CSRF-Token, If-Match, If-None-Match, Last-Event-ID",
        .accessControlMaxAge: "300",
    ]
}
