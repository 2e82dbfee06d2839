// SPDX-License-Identifier: Apache-2.0

/// A coding agent that the server knows how to run.
package struct AgentType: Sendable, Encodable {
    package struct Badge: Sendable, Encodable {
        let label: String
        let className: String
    }

    package let id: String
    package let name: String
    package let description: String
    package let icons: [String]
    package let badges: [Badge]
    package let highlighted: Bool?
    /// Ids of `AuthProvider`s; `*` stands for all.
    package let supportedAuthProviders: [String]
    package let highlightedAuthProviders: [String]?
    package let allowNoAuth: Bool?

    private init(
        _ id: String,
        _ name: String,
        _ description: String,
        auth: [String],
        badges: [Badge] = [],
        highlighted: Bool? = nil,
        highlightedAuth: [String]? = nil,
        allowNoAuth: Bool? = nil
    ) {
        self.id = id
        self.name = name
        self.description = description
        icons = []
        self.badges = badges
        self.highlighted = highlighted
        supportedAuthProviders = auth
        highlightedAuthProviders = highlightedAuth
        self.allowNoAuth = allowNoAuth
    }

    package static let all = [
        AgentType(
            "claude-code",
            "Claude Code",
            "Anthropic's coding agent for the terminal",
            auth: ["anthropic"],
            badges: [Badge(label: "Popular", className: "popular")],
            highlighted: true,
            highlightedAuth: ["anthropic"]
        ),
        AgentType(
            "opencode",
            "OpenCode",
            "Open source coding agent that works with any model",
            auth: ["*"],
            highlightedAuth: ["opencode", "anthropic", "codex"],
            allowNoAuth: true
        ),
        AgentType("gemini-cli", "Gemini CLI", "Google's coding agent for the terminal", auth: ["google"]),
        AgentType(
            "aider",
            "Aider",
            "Pair programming in the terminal",
            auth: ["anthropic", "openai", "google", "deepseek"]
        ),
        AgentType("continue", "Continue", "Open source coding agent", auth: ["anthropic", "openai"]),
        AgentType("cursor-agent", "Cursor Agent", "Cursor's agent for the terminal", auth: ["anthropic", "openai"]),
        AgentType("codex", "Codex CLI", "OpenAI's coding agent for the terminal", auth: ["openai", "codex"]),
        AgentType(
            "copilot-cli",
            "Copilot CLI",
            "GitHub's coding agent for the terminal",
            auth: ["github-copilot"]
        ),
        AgentType(
            "shell",
            "Shell",
            "No model: runs each message as a shell script in the workspace",
            auth: [],
            allowNoAuth: true
        ),
    ]
}
