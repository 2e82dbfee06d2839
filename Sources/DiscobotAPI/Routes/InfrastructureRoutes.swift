// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import HTTPTypes
import Hummingbird

/// What tells about the server itself.
struct InfrastructureRoutes: Sendable {
    let status: StatusService
    /// The whole table, which describes itself.
    let routes: @Sendable () -> [EndpointGroup]

    var group: EndpointGroup {
        EndpointGroup(
            name: "Server",
            endpoints: [
                .open(.get, "/", "The API browser", use: redirectToBrowser),
                .open(.get, "/health", "Whether the server is alive", use: health),
                .open(.get, "/ready", "Whether the server can do its work", use: ready),
                .open(.get, "/api/status", "What a user should know about the server", use: messages),
                .open(.get, "/api/routes", "This list", use: describe),
                .open(.get, "/api/ui", "A page to try each call", use: browser),
            ]
        )
    }

    private struct HealthResponse: Encodable {
        let status = "ok"
    }

    private func health(_ request: APIRequest) async throws -> Response {
        try .json(HealthResponse())
    }

    private struct ReadyResponse: Encodable {
        let ready: Bool
        let database: String
        let providers: [String: String]
    }

    private func ready(_ request: APIRequest) async throws -> Response {
        let states = await status.providerStates().states
        let providers = Dictionary(
            states.map { ($0.name, $0.state.problem?.reason ?? "ok") },
            uniquingKeysWith: { first, _ in first }
        )
        do {
            try await status.checkDatabase()
            return try .json(ReadyResponse(ready: true, database: "ok", providers: providers))
        } catch let error as ServerError {
            let response = ReadyResponse(ready: false, database: error.message, providers: providers)
            return try .json(response, status: .serviceUnavailable)
        }
    }

    private struct StatusResponse: Encodable {
        let ok: Bool
        let messages: [StatusService.Message]
        let startupTasks: [StartupTask]
    }

    private func messages(_ request: APIRequest) async throws -> Response {
        let messages = await status.messages()
        return try .json(
            StatusResponse(
                ok: !messages.contains { $0.level == .error },
                messages: messages,
                startupTasks: status.startupTasks
            )
        )
    }

    private struct RouteResponse: Encodable {
        let method: String
        let pattern: String
        let group: String
        let description: String
        let params: [EndpointParameter]
        let body: JSONValue?

        init(_ endpoint: Endpoint, group: String) {
            method = endpoint.method.rawValue
            pattern = endpoint.pattern
            self.group = group
            description = endpoint.summary
            params = endpoint.parameters
            body = endpoint.body
        }
    }

    private func describe(_ request: APIRequest) async throws -> Response {
        try .json(routes().flatMap { group in group.endpoints.map { RouteResponse($0, group: group.name) } })
    }

    private func browser(_ request: APIRequest) async throws -> Response {
        var response = Response(
            status: .ok,
            headers: [.contentType: "text/html; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.api_browser_html))
        )
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
            + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return response
    }

    private func redirectToBrowser(_ request: APIRequest) async throws -> Response {
        .redirect(to: "/api/ui", type: .temporary)
    }
}
