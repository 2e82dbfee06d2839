// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// A turn with the hooks around it: those of the session before, those of changed files behind. What fails is told to the
/// agent, which may mend it in the same answer.
struct HookedTurn: Sendable {
    let hooks: HookRunner

    /// How often the agent is told.
    private static let maximumPrompts = 3
    /// So many lines of output are told; all of it is in a file.
    private static let lineLimit = 200

    @concurrent
    func run(_ turn: DriverTurn, _ driver: any AgentDriver, _ output: DriverOutput) async throws {
        await hooks.waitForSessionHooks()
        try Task.checkCancellation()
        var next = turn
        for number in 0...Self.maximumPrompts {
            let before = await hooks.stateBeforeTurn()
            try await driver.run(next, output)
            try Task.checkCancellation()
            let calls = HookCalls(prefix: "\(next.messageID)-hook")
            let failure = try await hooks.runFileHooks(since: before) { progress in
                for chunk in calls.chunks(progress) { try await output.send(chunk) }
            }
            guard let failure else { return }
            next = turn.asking(Self.prompt(failure), id: "\(turn.messageID)-retry\(number + 1)")
        }
    }

    static func prompt(_ failure: HookRunner.Failure) -> String {
        let lines = failure.result.output.split(separator: "\n", omittingEmptySubsequences: false)
        let isLong = lines.count > lineLimit
        let shown = lines.suffix(lineLimit).joined(separator: "\n")
        let source =
            isLong ? "All of its output is in \(failure.outputPath), the last \(lineLimit) lines are" : "Its output"
        return """
            The hook \(failure.hook.name) in \(failure.hook.path), which checks the files you have changed, failed with \
            exit code \(failure.result.exitCode). Mend what it complains about. \(source):

            \(shown)
            """
    }
}

/// Hooks as calls of a tool, which is how the user sees them.
private struct HookCalls: Sendable {
    let prefix: String

    func chunks(_ progress: HookRunner.Progress) -> [Chunk] {
        switch progress {
        case .began(let hook, let files):
            let shown = JSONValue.list(files.prefix(100).map { .string($0) })
            return [
                .toolInputStart(toolCallId: id(of: hook), toolName: "hook", title: hook.name),
                .toolInputAvailable(
                    toolCallId: id(of: hook),
                    toolName: "hook",
                    input: ["hook": .string(hook.id), "files": shown],
                    title: hook.name
                ),
            ]
        case .ended(let hook, let result):
            let output = String(result.output.suffix(16 << 10))
            guard result.exitCode == 0 else {
                let text = "exit code \(result.exitCode)\n\(output)"
                return [.toolOutputError(toolCallId: id(of: hook), errorText: text)]
            }
            return [
                .toolOutputAvailable(
                    toolCallId: id(of: hook),
                    output: ["exitCode": .number(0), "output": .string(output)]
                )
            ]
        }
    }

    private func id(of hook: HookDefinition) -> String { "\(prefix)-\(hook.id)" }
}

extension DriverTurn {
    /// The same turn with another message.
    fileprivate func asking(_ text: String, id: String) -> DriverTurn {
        DriverTurn(
            request: request,
            message: UIMessage(id: id, role: .user, parts: [.text(text)]),
            messageID: id,
            workingDirectory: workingDirectory,
            stateDirectory: stateDirectory,
            environment: environment
        )
    }
}
