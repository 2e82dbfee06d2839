// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI

/// One process of the program, from the user's message to the end of the turn.
struct ClaudeCodeRun: Sendable {
    let turn: DriverTurn
    let output: DriverOutput
    let state: ClaudeCodeState
    let strays: StrayProcesses
    let limits: ClaudeCodeDriver.Limits

    /// The program does not know the conversation that it was to go on with.
    struct ConversationGone: Error {}

    func perform(_ settings: [String], resuming session: String?) async throws {
        try Task.checkCancellation()
        let failure = ClaudeCodeFailure(environment: turn.environment)
        let talk = ClaudeCodeTalk(turn: turn, output: output, state: state, failure: failure)
        let command = command(settings, session)
        // Not a part of the caller's task: a cancelled one could not tell the program to stop.
        let work = Task {
            try await AgentProcess.run(command, strays: strays) { process in
                try await talk.run(process, isResumed: session != nil, startTimeout: limits.start)
            }
        }
        let ended = await withTaskCancellationHandler {
            await work.result
        } onCancel: {
            talk.interrupt()
            // The handler cannot wait.
            Task {
                try? await Task.sleep(for: limits.interrupt)
                work.cancel()
            }
        }
        try Task.checkCancellation()
        let outcome = try ended.get()
        switch outcome.value {
        case .complete: return
        case .failed(let error): throw error
        case .conversationGone: throw ConversationGone()
        case .broken: throw failure.died(exitCode: outcome.exitCode, errorLines: outcome.errorLines)
        }
    }

    private func command(_ settings: [String], _ session: String?) -> AgentProcess.Command {
        var command = AgentProcess.Command(
            arguments: ClaudeCodeCommand.arguments(
                turn.request,
                settings: settings,
                acceptsEdits: state.rules.acceptsEdits,
                resuming: session
            ),
            environment: ClaudeCodeCommand.environment(turn),
            workingDirectory: turn.workingDirectory
        )
        command.lineLimit = limits.line
        command.exitGrace = .seconds(5)
        return command
    }
}
