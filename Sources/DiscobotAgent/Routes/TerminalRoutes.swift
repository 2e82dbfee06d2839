// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotTunnel
import Glibc
import HTTPTypes
import Hummingbird

/// Terminals.
struct TerminalRoutes: Sendable {
    /// What is on its way to a viewer, so that stopping a flood of output shows soon.
    private static let window = 256 << 10

    let terminals: Terminals

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/terminal/ws", handler: connect),
            AgentRoute(method: .get, path: "/terminal", handler: state),
        ]
    }

    private func connect(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let upgrade = try WebSocketRequest(request)
        let user = try user(request)
        let size = try TerminalSize(rows: request.query("rows"), cols: request.query("cols"))
        guard request.query("root") != "true" || getuid() == 0 else {
            throw ServerError.forbidden("this sandbox has no root user")
        }
        let (terminal, isNew) = try await terminals.terminal(of: user, size: size)
        var settings = WebSocket.Settings()
        settings.window = Self.window
        return upgrade.response(on: context.channel, settings) { socket in
            try await TerminalViewer(terminal: terminal, socket: socket, size: size, isFirst: isNew).run()
        }
    }

    private func state(_ request: Request, _ context: AppRequestContext) throws -> Response {
        let state = terminals.state(of: try user(request), limit: 64 << 10)
        return try .json(state ?? TerminalState())
    }

    private func user(_ request: Request) throws -> String {
        guard let user = request.query("user"), user.utf8.count <= 256 else {
            throw ServerError.invalidArgument("user is required")
        }
        return user
    }
}
