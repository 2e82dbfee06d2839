// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import Synchronization

/// One run of a service, from its start until nothing of it is left.
struct ServiceRun: Sendable {
    let command: AgentProcess.Command
    let output: ServiceOutput
    let strays: StrayProcesses

    /// Returns the exit code, as shells tell it.
    ///
    /// A program that goes into the background and lets its first process end goes on as long as any of its processes
    /// does. Cancelling the task kills all of them.
    @concurrent
    func run(onStart: @Sendable (AgentProcess) async -> Void) async -> Int {
        let errors = PacedOutput(.stderr, output)
        var command = command
        command.onErrorOutput = { await errors.append($0) }
        // Whoever asks it to end has waited already.
        command.endGrace = .zero
        let exitCode: Int
        do {
            let outcome = try await AgentProcess.run(command, strays: strays) { process in
                await onStart(process)
                await process.finishInput()
                let lines = PacedOutput(.stdout, output)
                for try await bytes in process.chunks { await lines.append(bytes) }
                lines.finish()
                try await Self.waitForEnd(of: process)
            }
            exitCode = outcome.exitCode
        } catch let error as DriverError {
            output.append(ServiceOutputEvent(.error, error: error.message))
            exitCode = 127
        } catch {
            exitCode = 137
        }
        errors.finish()
        output.append(ServiceOutputEvent(.exit, exitCode: exitCode))
        output.end()
        return exitCode
    }

    /// What has closed its output may go on.
    private static func waitForEnd(of process: AgentProcess) async throws {
        var wait = Duration.milliseconds(5)
        while process.isAlive {
            try await Task.sleep(for: wait)
            wait = min(wait * 2, .seconds(1))
        }
    }
}

/// One of a program's outputs on its way to those who read it, no faster than they could read it.
private final class PacedOutput: Sendable {
    private struct State {
        var decoder = UTF8Stream()
        var windowStart = ContinuousClock.now
        var windowBytes = 0
    }

    /// A program that floods is held up, instead of taking a processor for what nobody will read.
    private static let window = Duration.milliseconds(100)
    private static let windowLimit = 1 << 20
    private static let eventLimit = 16 << 10

    private let kind: ServiceOutputEvent.Kind
    private let output: ServiceOutput
    private let state = Mutex(State())

    init(_ kind: ServiceOutputEvent.Kind, _ output: ServiceOutput) {
        self.kind = kind
        self.output = output
    }

    func append(_ bytes: [UInt8]) async {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.eventLimit)
            rest = rest.dropFirst(part.count)
            send(state.withLock { $0.decoder.decode(part) })
        }
        if let wait = wait(for: bytes.count) { try? await Task.sleep(for: wait) }
    }

    func finish() {
        send(state.withLock { $0.decoder.finish() })
    }

    private func send(_ text: String) {
        if !text.isEmpty { output.append(ServiceOutputEvent(kind, data: text)) }
    }

    private func wait(for count: Int) -> Duration? {
        state.withLock { state in
            let now = ContinuousClock.now
            if now - state.windowStart >= Self.window {
                state.windowStart = now
                state.windowBytes = 0
            }
            state.windowBytes += count
            return state.windowBytes > Self.windowLimit ? Self.window - (now - state.windowStart) : nil
        }
    }
}
