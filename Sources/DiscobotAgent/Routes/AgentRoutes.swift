// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import Glibc
import HTTPTypes
import Hummingbird

/// One call of the agent API.
struct AgentRoute: Sendable {
    typealias Handler = @Sendable (Request, AppRequestContext) async throws -> Response

    let method: HTTPRequest.Method
    let path: String
    /// Whether anybody may call it.
    var isOpen = false
    let handler: Handler
}

/// What is not about the conversation.
struct AgentRoutes: Sendable {
    let workingCopy: WorkingCopy
    let drivers: AgentDrivers

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/", isOpen: true) { _, _ in try .json(Greeting()) },
            AgentRoute(method: .get, path: "/health", isOpen: true) { request, _ in
                // Seconds.
                let limit = min(request.query("wait").flatMap { Int($0) } ?? 0, 10)
                return try .json(await workingCopy.health(within: .seconds(limit)))
            },
            AgentRoute(method: .get, path: "/user") { _, _ in try .json(Self.user) },
            AgentRoute(method: .get, path: "/models", handler: models),
            AgentRoute(method: .post, path: "/workspace/detach") { _, _ in
                try await workingCopy.detach()
                return try .success()
            },
        ]
    }

    private struct Greeting: Encodable {
        let status = "ok"
        let service = "agent"
    }

    private static var user: AgentUser {
        let name = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) }
        return AgentUser(username: name ?? String(getuid()), uid: Int(getuid()), gid: Int(getgid()))
    }

    private func models(_ request: Request, _ context: AppRequestContext) throws -> Response {
        guard let agentType = request.query("agentType") else {
            throw ServerError.invalidArgument("agentType is required")
        }
        return try .json(ModelsResponse(models: try drivers.driver(of: agentType).models))
    }
}

extension Request {
    /// A parameter of the query; nil when it is absent or empty.
    func query(_ name: String) -> String? {
        guard let value = uri.queryParameters.get(name), !value.isEmpty else { return nil }
        return value
    }
}
