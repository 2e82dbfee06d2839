// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI

/// How the program is called for a turn.
enum ClaudeCodeCommand {
    static let program = "claude"

    /// - Parameter settings: the options that name the files of the agent's settings.
    static func arguments(
        _ request: StartRequest,
        settings: [String],
        acceptsEdits: Bool,
        resuming session: String?
    ) -> [String] {
        var arguments = [
            program, "-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose",
            "--permission-prompt-tool", "stdio", "--include-partial-messages",
            "--permission-mode", request.mode == "plan" ? "plan" : acceptsEdits ? "acceptEdits" : "default",
            // The agent's own prompt may change between two turns of a conversation.
            "--system-prompt-snapshot", "off",
        ]
        if let model = request.model.map(plainModel), !model.isEmpty { arguments += ["--model", model] }
        if let effort = Effort(request.reasoning) { arguments += ["--effort", effort.rawValue] }
        arguments += settings
        if let session { arguments += ["--resume", session] }
        return arguments
    }

    static func environment(_ turn: DriverTurn) -> [String: String] {
        var environment = turn.environment.merging(fixedEnvironment) { $1 }
        if let effort = Effort(turn.request.reasoning) { environment["MAX_THINKING_TOKENS"] = effort.thinkingTokens }
        return environment
    }

    private static let fixedEnvironment = [
        "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        // Work in the background would be cut off by the end of the turn; so it is waited for.
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        // About eight seconds. A refused key is not tried again at all, see `ClaudeCodeTurn`.
        "CLAUDE_CODE_MAX_RETRIES": "4",
    ]

    private static func plainModel(_ model: String) -> String {
        model.hasPrefix("anthropic/") ? String(model.dropFirst("anthropic/".count)) : model
    }

    /// Newer models know an effort and ignore the budget; older ones the other way round.
    private enum Effort: String {
        case low, medium, high

        init?(_ reasoning: String?) {
            self.init(rawValue: reasoning ?? "")
        }

        var thinkingTokens: String {
            switch self {
            case .low: "4000"
            case .medium: "10000"
            case .high: "31999"
            }
        }
    }
}
