// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials

extension Transaction {
    /// The agents of a project, oldest first, with their tool servers.
    package func agents(of project: ID<Project>) throws -> [Agent] {
        let servers = try mcpServers(where: "project_id = \(project)")
        return try rows("SELECT \(Agent.columns) FROM agents WHERE project_id = \(project) ORDER BY created_at, id")
            .map { try Agent($0, servers: servers) }
    }

    /// Nil when there is none with this id in this project.
    package func agent(_ id: ID<Agent>, of project: ID<Project>) throws -> Agent? {
        let servers = try mcpServers(where: "agents.id = \(id)")
        return try row("SELECT \(Agent.columns) FROM agents WHERE id = \(id) AND project_id = \(project)")
            .map { try Agent($0, servers: servers) }
    }

    package func insert(_ agent: Agent) throws {
        let now = Timestamp.now
        try execute(
            """
            INSERT INTO agents (\(Agent.columns), created_at, updated_at)
            VALUES (\(agent.id), \(agent.projectID), \(agent.name), \(agent.description), \(agent.agentType),
                \(agent.systemPrompt), \(agent.isDefault), \(now), \(now))
            """
        )
        try insertMCPServers(of: agent)
    }

    /// Stores everything of the agent that can change, except which one is the default.
    package func update(_ agent: Agent) throws {
        try execute(
            """
            UPDATE agents SET name = \(agent.name), description = \(agent.description),
                system_prompt = \(agent.systemPrompt), updated_at = \(Timestamp.now)
            WHERE id = \(agent.id)
            """
        )
        try execute("DELETE FROM agent_mcp_servers WHERE agent_id = \(agent.id)")
        try insertMCPServers(of: agent)
    }

    /// Makes the agent the only default of its project.
    package func makeDefault(_ agent: ID<Agent>, of project: ID<Project>) throws {
        try execute("UPDATE agents SET is_default = 0 WHERE project_id = \(project) AND is_default = 1")
        try execute("UPDATE agents SET is_default = 1, updated_at = \(Timestamp.now) WHERE id = \(agent)")
    }

    /// Removes the agent; its sessions stay, without an agent, and the oldest other one takes over as the default.
    package func delete(_ agent: ID<Agent>, of project: ID<Project>) throws {
        try execute("UPDATE sessions SET agent_id = NULL WHERE agent_id = \(agent)")
        try execute("DELETE FROM agent_mcp_servers WHERE agent_id = \(agent)")
        try execute("DELETE FROM agents WHERE id = \(agent)")
        try execute(
            """
            UPDATE agents SET is_default = 1
            WHERE id = (SELECT id FROM agents WHERE project_id = \(project) ORDER BY created_at, id LIMIT 1)
                AND NOT EXISTS (SELECT 1 FROM agents WHERE project_id = \(project) AND is_default = 1)
            """
        )
    }

    private func insertMCPServers(of agent: Agent) throws {
        for (position, server) in agent.mcpServers.enumerated() {
            let config = String(decoding: try JSONEncoder().encode(server.configuration), as: UTF8.self)
            try execute(
                """
                INSERT INTO agent_mcp_servers (id, agent_id, position, name, config, enabled, created_at)
                VALUES (\(server.id), \(agent.id), \(position), \(server.name), \(config), \(server.isEnabled),
                    \(Timestamp.now))
                """
            )
        }
    }

    private func mcpServers(where condition: SQL) throws -> [ID<Agent>: [MCPServer]] {
        let found = try rows(
            """
            SELECT agent_mcp_servers.id AS id, agent_id, agent_mcp_servers.name AS name, config, enabled
            FROM agent_mcp_servers JOIN agents ON agents.id = agent_mcp_servers.agent_id
            WHERE \(condition) ORDER BY position
            """
        )
        return try Dictionary(grouping: found) { try $0.value("agent_id") }
            .mapValues { try $0.map(MCPServer.init) }
    }
}

extension Agent {
    static let columns: SQL = "id, project_id, name, description, agent_type, system_prompt, is_default"

    fileprivate init(_ row: SQLRow, servers: [ID<Agent>: [MCPServer]]) throws {
        let id: ID<Agent> = try row.value("id")
        self.init(
            id: id,
            projectID: try row.value("project_id"),
            name: try row.value("name"),
            description: try row.value("description"),
            agentType: try row.value("agent_type"),
            systemPrompt: try row.value("system_prompt"),
            mcpServers: servers[id] ?? [],
            isDefault: try row.value("is_default")
        )
    }
}

extension MCPServer {
    fileprivate init(_ row: SQLRow) throws {
        let config: String = try row.value("config")
        self.init(
            id: try row.value("id"),
            name: try row.value("name"),
            configuration: try JSONDecoder().decode(Configuration.self, from: Data(config.utf8)),
            isEnabled: try row.value("enabled")
        )
    }
}
