// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import HTTPTypes
import Hummingbird
import NIOCore

/// The services and hooks of a session.
struct SessionProgramRoutes: Sendable {
    let programs: SessionPrograms
    let links: PreviewLinks

    var group: EndpointGroup {
        EndpointGroup(
            name: "Services and hooks",
            endpoints: [
                endpoint(.get, "services", "The services of .discobot/services", use: list),
                endpoint(.post, "services/{serviceId}/start", "Start a service", use: start),
                endpoint(.post, "services/{serviceId}/stop", "Stop a service and all that it has started", use: stop),
                endpoint(
                    .get,
                    "services/{serviceId}/output",
                    "What a service writes: what is kept of it, then as it comes",
                    use: output
                ),
                endpoint(
                    .get,
                    "hooks/status",
                    "The hooks of .discobot/hooks, and how their last runs ended",
                    use: hooks
                ),
                endpoint(.get, "hooks/{hookId}/output", "What the last run of a hook wrote", use: hookOutput),
                endpoint(.get, "hooks/{hookId}/output/download", "The same as a file", use: downloadHookOutput),
                endpoint(.post, "hooks/{hookId}/rerun", "Run a hook again, and wait for its end", use: rerunHook),
            ]
        )
    }

    private typealias Handler = @Sendable (APIRequest, SessionPrograms.Target) async throws -> Response

    private func endpoint(
        _ method: HTTPRequest.Method,
        _ pattern: String,
        _ summary: String,
        use handler: @escaping Handler
    ) -> Endpoint {
        let id: [EndpointParameter] =
            pattern.contains("{serviceId}")
            ? [.path("serviceId", example: "web")] : pattern.contains("{hookId}") ? [.path("hookId")] : []
        return .project(method, "/sessions/{sessionId}/\(pattern)", summary, [.path("sessionId")] + id) {
            try await handler($0, SessionPrograms.Target(session: $0.id("sessionId"), project: $1))
        }
    }

    private func list(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        let services = try await programs.services(of: target)
        return try .json(
            ServiceListResponse(services, links, session: try request.id("sessionId"), seenFrom: request.raw)
        )
    }

    private func start(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        let service = try request.parameter("serviceId")
        return try .json(await programs.startService(service, of: target), status: .accepted)
    }

    private func stop(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        try .json(await programs.stopService(try request.parameter("serviceId"), of: target))
    }

    private func output(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        let last = request.raw.headers[.lastEventID]
        let service = try request.parameter("serviceId")
        try await programs.requireSession(of: target)
        return EventStream.response(to: request.raw, on: request.channel) { stream, end in
            // Here and not before: the body of an answer to HEAD never runs, and the feed would go on for ever.
            let feed = programs.serviceOutput(service, after: last, of: target)
            defer { feed.stop() }
            end.whenReached { feed.stop() }
            for await piece in feed.pieces {
                switch piece {
                case .frames(let frames): try await stream.write(frames)
                case .failure(let event): try await stream.write(Self.frame(event))
                }
                feed.taken()
            }
            // A stopping server ends the stream without saying that the output is over, so that clients come back.
            if !end.isReached { try await stream.write(ServerSentEvent(data: "[DONE]").bytes) }
        }
    }

    private static func frame(_ event: ServiceOutputEvent) throws -> [UInt8] {
        ServerSentEvent(data: String(decoding: try JSONEncoding.bytes(of: event), as: UTF8.self)).bytes
    }

    private func hooks(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        try .json(await programs.hooks(of: target))
    }

    private func hookOutput(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        try .json(await programs.hookOutput(try request.parameter("hookId"), of: target))
    }

    private func downloadHookOutput(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        let output = try await programs.hookOutput(try request.parameter("hookId"), of: target).output
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/plain; charset=utf-8", .contentDisposition: #"attachment; filename="hook.log""#,
                .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: output))
        )
    }

    private func rerunHook(_ request: APIRequest, _ target: SessionPrograms.Target) async throws -> Response {
        try .json(await programs.rerunHook(try request.parameter("hookId"), of: target))
    }
}

/// Services with the addresses at which a browser sees them.
struct ServiceListResponse: Encodable {
    struct Item: Encodable {
        private enum CodingKeys: String, CodingKey {
            case previewUrl, previewPathUrl
        }

        let info: ServiceInfo
        let previewUrl: String?
        let previewPathUrl: String?

        func encode(to encoder: any Encoder) throws {
            try info.encode(to: encoder)
            var fields = encoder.container(keyedBy: CodingKeys.self)
            try fields.encodeIfPresent(previewUrl, forKey: .previewUrl)
            try fields.encodeIfPresent(previewPathUrl, forKey: .previewPathUrl)
        }
    }

    let services: [Item]

    init(_ services: [ServiceInfo], _ links: PreviewLinks, session: ID<Session>, seenFrom request: Request) {
        self.services = services.map { info in
            let hasPort = info.http != nil || info.https != nil
            return Item(
                info: info,
                previewUrl: hasPort ? links.url(of: info, session, seenFrom: request) : nil,
                previewPathUrl: hasPort ? links.pathURL(of: info, session, seenFrom: request) : nil
            )
        }
    }
}
