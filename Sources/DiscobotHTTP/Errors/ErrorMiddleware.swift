// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import HTTPTypes
package import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// Answers every failure with the same kind of body; what the client must not see goes to the log.
package struct ErrorMiddleware: RouterMiddleware {
    package typealias Context = AppRequestContext

    private let methods: @Sendable (_ path: String) -> [HTTPRequest.Method]

    /// - Parameter methods: the methods that a path has, for those asked with another.
    package init(methods: @escaping @Sendable (_ path: String) -> [HTTPRequest.Method]) {
        self.methods = methods
    }

    package func handle(
        _ request: Request,
        context: AppRequestContext,
        next: @concurrent (Request, AppRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPParserError {
            // The connection cannot be used any more; Hummingbird answers 400 and closes it.
            throw error
        } catch let error as ServerError {
            return try answer(error, context)
        } catch let error as HTTPError where error.status == .notFound {
            return try unknownRoute(request)
        } catch let error as HTTPError {
            var response = try Response.json(ErrorBody(error.body ?? error.status.reasonPhrase), status: error.status)
            // What the status needs beside it.
            for field in error.headers { response.headers[field.name] = field.value }
            return response
        } catch {
            return try answer(ServerError(.internal, "unexpected", cause: error), context)
        }
    }

    private func answer(_ error: ServerError, _ context: AppRequestContext) throws -> Response {
        let status = error.code.status
        if status.kind == .serverError {
            context.logger.error("request failed", metadata: ["error": "\(error)"])
        }
        guard error.code != .internal else {
            return try .json(ErrorBody.internalError(requestID: context.id), status: status)
        }
        return try .json(ErrorBody(error.message), status: status)
    }

    /// No route has this path, or only with other methods.
    private func unknownRoute(_ request: Request) throws -> Response {
        let allowed = methods(request.uri.path)
        guard !allowed.isEmpty else {
            return try .json(ErrorBody("not found: \(request.method) \(request.uri.path)"), status: .notFound)
        }
        let names = allowed.map(\.rawValue).joined(separator: ", ")
        var response = try Response.json(
            ErrorBody("\(request.method) is not allowed here; allowed: \(names)"),
            status: .methodNotAllowed
        )
        response.headers[.allow] = names
        return response
    }
}
