// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// The agents that a project has configured.
package struct AgentService: Sendable {
    private let store: Store

    package init(store: Store) {
        self.store = store
    }

    package func list(of project: ID<Project>) async throws -> [Agent] {
        try await store.read { try $0.agents(of: project) }
    }

    /// Throws `notFound`.
    package func get(_ id: ID<Agent>, of project: ID<Project>) async throws -> Agent {
        guard let agent = try await store.read({ try $0.agent(id, of: project) }) else { throw Self.notFound }
        return agent
    }

    /// Stores an agent; the first one of a project is its default. Throws `invalidArgument`.
    package func create(
        name: String,
        description: String,
        agentType: String,
        systemPrompt: String?,
        mcpServers: [MCPServer],
        in project: ID<Project>
    ) async throws -> Agent {
        try Self.check(name: name, mcpServers: mcpServers)
        guard !agentType.isEmpty else { throw ServerError.invalidArgument("Agent type is required") }
        guard AgentType.all.contains(where: { $0.id == agentType }) else {
            let known = AgentType.all.map(\.id).joined(separator: ", ")
            throw ServerError.invalidArgument("agentType must be one of: \(known)")
        }
        return try await store.write { transaction in
            let agent = Agent(
                id: .random(),
                projectID: project,
                name: name,
                description: description,
                agentType: agentType,
                systemPrompt: systemPrompt,
                mcpServers: mcpServers,
                isDefault: try transaction.agents(of: project).isEmpty
            )
            try transaction.insert(agent)
            return agent
        }
    }

    /// What an update changes; nil leaves a field as it is.
    package struct Changes: Sendable {
        package let name: String
        package let description: String?
        package let systemPrompt: String?
        package let mcpServers: [MCPServer]?

        package init(name: String, description: String?, systemPrompt: String?, mcpServers: [MCPServer]?) {
            self.name = name
            self.description = description
            self.systemPrompt = systemPrompt
            self.mcpServers = mcpServers
        }
    }

    /// Throws `notFound` or `invalidArgument`.
    package func update(_ id: ID<Agent>, of project: ID<Project>, _ changes: Changes) async throws -> Agent {
        try Self.check(name: changes.name, mcpServers: changes.mcpServers ?? [])
        return try await store.write { transaction in
            guard var agent = try transaction.agent(id, of: project) else { throw Self.notFound }
            agent.name = changes.name
            agent.description = changes.description ?? agent.description
            agent.systemPrompt = changes.systemPrompt ?? agent.systemPrompt
            agent.mcpServers = changes.mcpServers ?? agent.mcpServers
            try transaction.update(agent)
            return agent
        }
    }

    /// Removes the agent; its sessions stay. Throws `notFound`.
    package func delete(_ id: ID<Agent>, of project: ID<Project>) async throws {
        try await store.write { transaction in
            guard try transaction.agent(id, of: project) != nil else { throw Self.notFound }
            try transaction.delete(id, of: project)
        }
    }

    /// Makes it the only default of the project. Throws `notFound`.
    package func makeDefault(_ id: ID<Agent>, of project: ID<Project>) async throws {
        try await store.write { transaction in
            guard try transaction.agent(id, of: project) != nil else { throw Self.notFound }
            try transaction.makeDefault(id, of: project)
        }
    }

    private static func check(name: String, mcpServers: [MCPServer]) throws {
        guard !name.allSatisfy(\.isWhitespace) else { throw ServerError.invalidArgument("Name is required") }
        for (index, server) in mcpServers.enumerated() {
            let field = "mcpServers[\(index)]"
            guard !server.name.isEmpty else { throw ServerError.invalidArgument("\(field).name is required") }
            let configuration = server.configuration
            let (needed, value) =
                switch configuration.type {
                case .stdio: ("command", configuration.command)
                case .http: ("url", configuration.url)
                }
            guard value?.isEmpty == false else {
                throw ServerError.invalidArgument(
                    "\(field).config.\(needed) is required for type \(configuration.type.rawValue)"
                )
            }
        }
    }

    private static let notFound = ServerError.notFound("Agent not found")
}
