// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import FoundationEssentials

/// Drives Anthropic's Claude Code: one process for each turn, which goes on with the conversation of the turn before.
package struct ClaudeCodeDriver: AgentDriver {
    private let strays: StrayProcesses
    private let limits: Limits

    package struct Limits: Sendable {
        /// How long the program may be silent at first, while it starts its tool servers.
        package var start: Duration = .seconds(120)
        /// The most bytes of one line of its output: the results of tools can hold whole pictures.
        package var line = 64 << 20
        /// How long the program may take to keep what it has when it is told to stop.
        package var interrupt: Duration = .milliseconds(700)

        package init() {}
    }

    /// - Parameter strays: where programs are run, see ``AgentProcess``.
    package init(strays: StrayProcesses, limits: Limits = Limits()) {
        self.strays = strays
        self.limits = limits
    }

    package let models = [
        model("claude-opus-5-5", "Claude Opus 5.5"),
        model("claude-sonnet-5-5", "Claude Sonnet 5.5"),
        model("claude-haiku-5-5", "Claude Haiku 5.5"),
        model("claude-fable-5-2", "Claude Fable 5.2"),
        model("claude-opus-4-8", "Claude Opus 4.8"),
        model("claude-sonnet-4-6", "Claude Sonnet 4.6"),
        model("claude-haiku-4-5", "Claude Haiku 4.5"),
    ]

    private static func model(_ id: String, _ name: String) -> AgentModel {
        AgentModel(id: id, displayName: name, provider: "Anthropic", reasoning: true)
    }

    package func run(_ turn: DriverTurn, _ output: DriverOutput) async throws {
        guard Self.isInstalled(turn.environment["PATH"] ?? "") else { throw ClaudeCodeFailure.notInstalled }
        let state = ClaudeCodeState(directory: turn.stateDirectory)
        defer { state.removeSettings() }
        let settings = try state.writeSettings(turn.request.agent)
        let run = ClaudeCodeRun(turn: turn, output: output, state: state, strays: strays, limits: limits)
        do {
            try await run.perform(settings, resuming: state.session)
        } catch is ClaudeCodeRun.ConversationGone {
            state.forgetSession()
            try await run.perform(settings, resuming: nil)
        }
    }

    package func removeLeftovers(stateDirectory: String) {
        ClaudeCodeState(directory: stateDirectory).removeSettings()
    }

    private static func isInstalled(_ path: String) -> Bool {
        path.split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(ClaudeCodeCommand.program)")
        }
    }
}
