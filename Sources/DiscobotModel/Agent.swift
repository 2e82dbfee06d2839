// SPDX-License-Identifier: Apache-2.0

/// A configured coding agent of a project: a type with instructions and tools.
package struct Agent: Sendable, Equatable {
    package let id: ID<Agent>
    package let projectID: ID<Project>
    package var name: String
    package var description: String
    package let agentType: String
    package var systemPrompt: String?
    package var mcpServers: [MCPServer]
    package var isDefault: Bool

    package init(
        id: ID<Agent>,
        projectID: ID<Project>,
        name: String,
        description: String,
        agentType: String,
        systemPrompt: String?,
        mcpServers: [MCPServer],
        isDefault: Bool
    ) {
        self.id = id
        self.projectID = projectID
        self.name = name
        self.description = description
        self.agentType = agentType
        self.systemPrompt = systemPrompt
        self.mcpServers = mcpServers
        self.isDefault = isDefault
    }
}

/// A tool server that an agent may use, by the Model Context Protocol.
package struct MCPServer: Sendable, Equatable {
    package enum Transport: String, Sendable, Codable {
        case stdio, http
    }

    /// How the agent reaches the server: a command for `stdio`, a URL for `http`.
    package struct Configuration: Sendable, Equatable, Codable {
        package let type: Transport
        package var command: String?
        package var args: [String]?
        package var env: [String: String]?
        package var url: String?
        package var headers: [String: String]?

        package init(type: Transport, command: String? = nil, url: String? = nil) {
            self.type = type
            self.command = command
            self.url = url
        }
    }

    package let id: ID<MCPServer>
    package let name: String
    package let configuration: Configuration
    package let isEnabled: Bool

    package init(id: ID<MCPServer>, name: String, configuration: Configuration, isEnabled: Bool) {
        self.id = id
        self.name = name
        self.configuration = configuration
        self.isEnabled = isEnabled
    }
}
