// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird

/// Lets only those in who know the sandbox's secret, where there is one.
struct AuthenticationMiddleware: RouterMiddleware {
    typealias Context = AppRequestContext

    /// Salt and hash; nil lets everybody in.
    let verifier: String?
    let openPaths: Set<String>

    func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        if let verifier, !openPaths.contains(request.uri.path) { try check(request, verifier) }
        return try await next(request, context)
    }

    private func check(_ request: Request, _ verifier: String) throws {
        guard let header = request.headers[.authorization], !header.isEmpty else {
            throw ServerError(.unauthenticated, "Authorization header required")
        }
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else {
            throw ServerError(.unauthenticated, "Authorization header must use the Bearer scheme")
        }
        guard AgentSecret.isValid(parts[1], for: verifier) else {
            throw ServerError(.unauthenticated, "Invalid authorization token")
        }
    }
}
