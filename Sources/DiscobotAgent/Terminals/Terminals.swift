// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import NIOCore
import ServiceLifecycle
import Synchronization

/// The terminals of a sandbox: one for each user. They end with the runtime.
final class Terminals: Service, Sendable {
    private static let maximum = 16

    private struct State {
        /// Also those whose shells have ended, until the next begins.
        var terminals: [String: Terminal] = [:]
        var isStopping = false
    }

    private let directories: DataDirectories
    private let environment: [String: String]
    private let strays: StrayProcesses
    private let group: any EventLoopGroup
    private let state = Mutex(State())
    private let begun = AsyncStream.makeStream(of: Terminal.self, bufferingPolicy: .bufferingOldest(maximum))

    init(
        _ directories: DataDirectories,
        environment: [String: String],
        strays: StrayProcesses,
        group: any EventLoopGroup
    ) {
        self.directories = directories
        self.strays = strays
        self.group = group
        var variables = TurnSecrets().environment(base: environment, home: directories.home)
        variables["TERM"] = "xterm-256color"
        variables["LANG"] = variables["LANG"] ?? "C.UTF-8"
        self.environment = variables
    }

    func run() async {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { tasks in
                for await terminal in begun.stream { tasks.addTask { await terminal.run() } }
            }
        } onGracefulShutdown: {
            self.stop()
        }
    }

    private func stop() {
        let terminals = state.withLock { state in
            state.isStopping = true
            return state.terminals.values
        }
        for terminal in terminals { terminal.hangUp() }
        begun.continuation.finish()
    }

    /// The terminal of a user; begun when there is none, or its shell has ended. Throws `ServerError`.
    func terminal(of user: String, size: TerminalSize) async throws -> (terminal: Terminal, isNew: Bool) {
        if let running = running(user) { return (running, false) }
        let command = TerminalProcess.Command(
            environment: environment,
            directory: FileManager.default.fileExists(atPath: directories.workspace)
                ? directories.workspace : directories.home,
            strays: strays
        )
        try state.withLock { state in
            guard !state.isStopping else { throw ServerError(.unavailable, "the sandbox is stopping") }
            state.terminals = state.terminals.filter { $0.value.isRunning || state.terminals.count < Self.maximum }
            guard state.terminals.count < Self.maximum || state.terminals[user] != nil else {
                throw ServerError(.unavailable, "the sandbox has \(Self.maximum) terminals, which is the most")
            }
        }
        let terminal = try await Terminal(command, size: size, on: group.next())
        let winner = state.withLock { state -> Terminal? in
            if state.isStopping { return nil }
            // Two may have begun at once.
            if let other = state.terminals[user], other.isRunning { return other }
            state.terminals[user] = terminal
            return terminal
        }
        begun.continuation.yield(terminal)
        guard let winner else {
            terminal.hangUp()
            throw ServerError(.unavailable, "the sandbox is stopping")
        }
        if winner !== terminal { terminal.hangUp() }
        return (winner, winner === terminal)
    }

    /// What a user's terminal shows; nil when there was none.
    func state(of user: String, limit: Int) -> TerminalState? {
        guard let terminal = state.withLock({ $0.terminals[user] }) else { return nil }
        return TerminalState(shell: terminal.id, exitCode: terminal.exitCode, output: terminal.tail(limit))
    }

    private func running(_ user: String) -> Terminal? {
        state.withLock { state in state.terminals[user].flatMap { $0.isRunning ? $0 : nil } }
    }
}
