// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// The agents of a project, and what they can be.
struct AgentRoutes: Sendable {
    let agents: AgentService

    var group: EndpointGroup {
        let id = [EndpointParameter.path("agentId")]
        let example: JSONValue = [
            "name": "Claude", "description": "", "agentType": "claude-code", "systemPrompt": nil, "mcpServers": [],
        ]
        return EndpointGroup(
            name: "Agents",
            endpoints: [
                .project(.get, "/agents", "The agents of a project", use: list),
                .project(.post, "/agents", "Configure an agent", body: example, use: create),
                .project(.get, "/agents/types", "The kinds of agents there are", use: types),
                .project(.get, "/agents/auth-providers", "Whose keys agents can use", use: authProviders),
                .project(
                    .post,
                    "/agents/default",
                    "Choose the agent of new sessions",
                    body: ["agentId": ""],
                    use: makeDefault
                ),
                .project(.get, "/agents/{agentId}", "One agent", id, use: get),
                .project(.put, "/agents/{agentId}", "Change an agent", id, body: example, use: update),
                .project(.delete, "/agents/{agentId}", "Remove an agent; its sessions stay", id, use: delete),
            ]
        )
    }

    private struct ListResponse: Encodable {
        let agents: [AgentResponse]
    }

    private func list(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(ListResponse(agents: await agents.list(of: project).map(AgentResponse.init)))
    }

    private struct WriteRequest: Decodable {
        let name: String?
        let description: String?
        let agentType: String?
        let systemPrompt: String?
        let mcpServers: [MCPServerRequest]?
    }

    private func create(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(WriteRequest.self)
        let agent = try await agents.create(
            name: try required(body.name, "Name is required"),
            description: body.description ?? "",
            agentType: try required(body.agentType, "Agent type is required"),
            systemPrompt: body.systemPrompt,
            mcpServers: try servers(body) ?? [],
            in: project
        )
        return try .json(AgentResponse(agent), status: .created)
    }

    /// Unknown fields are refused: a client would believe that they are stored and heeded.
    private func servers(_ body: WriteRequest) throws -> [MCPServer]? {
        try body.mcpServers?.enumerated().map { index, server in
            if let field = server.config.unknownField {
                throw ServerError.invalidArgument("mcpServers[\(index)].config.\(field) is not a known field")
            }
            return server.server
        }
    }

    private func get(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(AgentResponse(await agents.get(request.id("agentId"), of: project)))
    }

    private func update(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(WriteRequest.self)
        let changes = AgentService.Changes(
            name: try required(body.name, "Name is required"),
            description: body.description.flatMap { $0.isEmpty ? nil : $0 },
            systemPrompt: body.systemPrompt.flatMap { $0.isEmpty ? nil : $0 },
            mcpServers: try servers(body)
        )
        return try .json(AgentResponse(await agents.update(request.id("agentId"), of: project, changes)))
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await agents.delete(request.id("agentId"), of: project)
        return try .success()
    }

    private struct DefaultRequest: Decodable {
        let agentId: String?
    }

    private func makeDefault(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let id = try required(try await request.body(DefaultRequest.self).agentId, "Agent ID is required")
        try await agents.makeDefault(ID(rawValue: id), of: project)
        return try .success()
    }

    private struct TypesResponse: Encodable {
        let agentTypes = AgentType.all
    }

    private func types(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(TypesResponse())
    }

    private struct AuthProvidersResponse: Encodable {
        let authProviders = AuthProvider.all
    }

    private func authProviders(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(AuthProvidersResponse())
    }
}

private struct MCPServerRequest: Decodable {
    let name: String
    let config: ConfigurationRequest
    let enabled: Bool?

    var server: MCPServer {
        // Always a new id: one that the client names could be another agent's.
        MCPServer(id: .random(), name: name, configuration: config.configuration, isEnabled: enabled ?? true)
    }
}

private struct ConfigurationRequest: Decodable {
    private static let fields: Set = ["type", "command", "args", "env", "url", "headers"]

    let configuration: MCPServer.Configuration
    let unknownField: String?

    init(from decoder: any Decoder) throws {
        configuration = try MCPServer.Configuration(from: decoder)
        guard case .object(let fields) = try JSONValue(from: decoder) else {
            unknownField = nil
            return
        }
        unknownField = fields.map(\.0).sorted().first { !Self.fields.contains($0) }
    }
}

private struct AgentResponse: Encodable {
    struct Server: Encodable {
        let id: ID<MCPServer>
        let name: String
        let config: MCPServer.Configuration
        let enabled: Bool
    }

    let id: ID<Agent>
    let name: String
    let description: String
    let agentType: String
    let systemPrompt: String?
    let mcpServers: [Server]
    let isDefault: Bool

    init(_ agent: Agent) {
        id = agent.id
        name = agent.name
        description = agent.description
        agentType = agent.agentType
        systemPrompt = agent.systemPrompt
        mcpServers = agent.mcpServers.map {
            Server(id: $0.id, name: $0.name, config: $0.configuration, enabled: $0.isEnabled)
        }
        isDefault = agent.isDefault
    }
}
