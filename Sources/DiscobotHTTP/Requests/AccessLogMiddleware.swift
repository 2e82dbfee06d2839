// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import HTTPTypes
package import Hummingbird
import Logging

/// Names each request in its answer, and logs it: at `info` what changes something or fails, at `debug` the rest.
package struct AccessLogMiddleware: RouterMiddleware {
    package typealias Context = AppRequestContext

    package init() {}

    package func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response = try await next(request, context)
        response.headers[.requestID] = context.id
        let isQuiet = request.method == .get && response.status.code < 400
        context.logger.log(
            level: isQuiet ? .debug : .info,
            "request",
            metadata: [
                // Without the query, which may carry what should not be logged.
                "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
                "ms": "\((ContinuousClock.now - start).milliseconds)",
            ]
        )
        return response
    }
}

extension HTTPField.Name {
    package static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .eTag
    package static let requestID = HTTPField.Name("X-Request-Id") ?? .eTag
}
