// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird

/// The services of the session.
struct ServiceRoutes: Sendable {
    let services: ServiceRegistry

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/services") { _, _ in
                try .json(ServicesResponse(services: await services.list()))
            },
            route(.post, "start") { id, _, _ in
                try await services.start(id)
                return try .json(ServiceResponse(status: .starting, serviceId: id), status: .accepted)
            },
            route(.post, "stop") { id, _, _ in
                try await services.stop(id)
                return try .json(ServiceResponse(status: .stopped, serviceId: id))
            },
            route(.get, "output", use: output),
            route(.get, "tunnel", use: tunnel),
        ]
            + Self.methods.map { route($0, "http/**", use: proxy) }
    }

    private static let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]

    private typealias Handler = @Sendable (String, Request, AppRequestContext) async throws -> Response

    private func route(_ method: HTTPRequest.Method, _ name: String, use handler: @escaping Handler) -> AgentRoute {
        AgentRoute(method: method, path: "/services/{id}/\(name)") { request, context in
            do {
                return try await handler(context.parameters.require("id"), request, context)
            } catch let error as ServiceError {
                return try error.response()
            }
        }
    }

    func output(_ id: String, _ request: Request, _ context: AppRequestContext) async throws -> Response {
        let output = try await services.output(of: id)
        let last = output?.number(of: request.headers[.lastEventID]) ?? 0
        return EventStream.response(to: request, on: context.channel) { stream, end in
            if let output {
                let (wakeUps, stop) = output.wakeUps()
                defer { stop() }
                end.whenReached(stop)
                guard try await send(output, after: last, wakeUps, to: &stream) else { return }
            }
            try await stream.write(ServerSentEvent(data: "[DONE]").bytes)
        }
    }

    /// Whether the output has ended, and not the reader.
    @concurrent
    private func send(
        _ output: ServiceOutput,
        after last: Int,
        _ wakeUps: AsyncStream<Void>,
        to stream: inout EventStream
    ) async throws -> Bool {
        var last = last
        for await _ in wakeUps {
            if try await sendAll(output, &last, to: &stream) { return true }
        }
        return try await sendAll(output, &last, to: &stream)
    }

    /// Sends what is there; whether nothing follows.
    @concurrent
    private func sendAll(
        _ output: ServiceOutput,
        _ last: inout Int,
        to stream: inout EventStream
    ) async throws -> Bool {
        let before = last
        var batch: ServiceOutput.Batch
        repeat {
            batch = output.events(after: last)
            last = batch.last
            if !batch.frames.isEmpty { try await stream.write(batch.frames) }
        } while !batch.frames.isEmpty
        if last == before { try await stream.write(ServerSentEvent.comment) }
        return batch.isEnded
    }
}
