// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import DiscobotTunnel
import HTTPTypes
import Hummingbird
import NIOCore

/// The terminals of sessions.
struct TerminalRoutes: Sendable {
    /// What is on its way to a viewer, so that stopping a flood of output shows soon.
    private static let window = 256 << 10

    let terminals: TerminalService

    var group: EndpointGroup {
        let session = EndpointParameter.path("sessionId")
        let size = [EndpointParameter.query("rows", example: "24"), .query("cols", example: "80"), .query("root")]
        return EndpointGroup(
            name: "Terminals",
            endpoints: [
                .open(.get, "/terminal", "A page with the terminal of ?session=", use: page),
                .project(
                    .get,
                    "/sessions/{sessionId}/terminal/ws",
                    "WebSocket: the user's terminal",
                    [session] + size,
                    use: connect
                ),
                .project(
                    .get,
                    "/sessions/{sessionId}/terminal/history",
                    "What has happened in the terminals",
                    [session, .query("limit", example: "100")],
                    use: history
                ),
                .project(
                    .get,
                    "/sessions/{sessionId}/terminal/status",
                    "The state of the terminal's sandbox",
                    [session],
                    use: status
                ),
            ]
        )
    }

    private func target(_ request: APIRequest, _ project: ID<Project>) throws -> TerminalService.Target {
        TerminalService.Target(session: try request.id("sessionId"), project: project, user: request.user.id)
    }

    private func connect(_ request: APIRequest, _ project: ID<Project>) async throws -> Response {
        let upgrade = try WebSocketRequest(request.raw)
        let connection = try await terminals.connect(
            to: target(request, project),
            size: TerminalSize(rows: request.query("rows"), cols: request.query("cols")),
            root: request.flag("root"),
            on: request.channel.eventLoop
        )
        var settings = WebSocket.Settings()
        settings.window = Self.window
        return upgrade.response(on: request.channel, settings) { viewer in
            try await terminals.relay(connection, to: viewer)
        }
    }

    private struct HistoryResponse: Encodable {
        let history: [Entry]
    }

    private struct Entry: Encodable {
        private enum CodingKeys: String, CodingKey {
            case id, content
            case sessionID = "session_id"
            case kind = "entry_type"
            case exitCode = "exit_code"
            case createdAt = "created_at"
        }

        let id: String
        let sessionID: ID<Session>
        let kind: String
        let content: String
        let exitCode: Int?
        let createdAt: Timestamp

        init(_ entry: TerminalEntry) {
            id = entry.id
            sessionID = entry.sessionID
            kind = entry.kind
            content = entry.content
            exitCode = entry.exitCode
            createdAt = entry.createdAt
        }
    }

    private func history(_ request: APIRequest, _ project: ID<Project>) async throws -> Response {
        let entries = try await terminals.history(of: target(request, project), limit: request.limit(default: 100))
        return try .json(HistoryResponse(history: entries.map(Entry.init)))
    }

    private struct StatusResponse: Encodable {
        var status: String
        var image: String?
        var createdAt: Timestamp?
        var startedAt: Timestamp?
        var stoppedAt: Timestamp?
        var error: String?
    }

    private func status(_ request: APIRequest, _ project: ID<Project>) async throws -> Response {
        switch try await terminals.status(of: target(request, project)) {
        case .notCreated: return try .json(StatusResponse(status: "not_created"))
        case .unavailable(let reason): return try .json(StatusResponse(status: "unavailable", error: reason))
        case .sandbox(let sandbox):
            return try .json(
                StatusResponse(
                    status: sandbox.status.rawValue,
                    image: sandbox.image,
                    createdAt: sandbox.createdAt,
                    startedAt: sandbox.startedAt,
                    stoppedAt: sandbox.stoppedAt,
                    error: sandbox.error
                )
            )
        }
    }

    private func page(_ request: APIRequest) async throws -> Response {
        var response = Response(
            status: .ok,
            headers: [.contentType: "text/html; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.terminal_html))
        )
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return response
    }
}
