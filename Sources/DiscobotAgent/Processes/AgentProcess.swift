// SPDX-License-Identifier: Apache-2.0

import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// A process of an agent while it runs; the only way in which drivers run programs.
///
/// It leads a session of its own. Whatever way ``run(_:strays:body:)`` ends, the process and all that it has started
/// are gone then: they are asked to end, and killed two seconds later. All but those of another user, which nobody here
/// can end, and what the kernel does not let go of.
package struct AgentProcess: Sendable {
    package let pid: Int32
    private let writer: StandardInputWriter
    private let sequence: SubprocessOutputSequence
    private let lineLimit: Int
    private let errors: ErrorTail
    private let mark: String
    private let strays: StrayProcesses

    /// What to run.
    package struct Command: Sendable {
        /// The program, looked up in the PATH of `environment` unless it is a path, and its arguments.
        package var arguments: [String]
        /// The whole environment.
        package var environment: [String: String]
        package var workingDirectory: String
        /// Whether standard error comes in order with standard output, instead of being kept apart.
        package var mergesErrors = false
        /// The most bytes that a line of ``AgentProcess/lines`` may have.
        package var lineLimit = 16 << 20
        /// How long the process may go on when `body` has returned, with its standard input closed; nil for as long as
        /// it wants.
        package var exitGrace: Duration?
        /// Told of standard error as it comes, where it is kept apart; held up as long as this takes.
        package var onErrorOutput: (@Sendable ([UInt8]) async -> Void)?
        /// How long what is asked to end has for that.
        package var endGrace = Duration.seconds(2)

        package init(arguments: [String], environment: [String: String], workingDirectory: String) {
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
        }
    }

    /// How a process has ended.
    package struct Outcome<Value: Sendable>: Sendable {
        package let value: Value
        /// The exit code, or 128 and the number of the signal that ended it, as shells tell it.
        package let exitCode: Int
        /// The last lines of standard error.
        package let errorLines: [String]
    }

    /// Runs a program, and `body` with it. Throws what `body` throws, `DriverError` when the program cannot be run, and
    /// `CancellationError` when the task is cancelled; reading ends early then.
    package static func run<Value: Sendable>(
        _ command: Command,
        strays: StrayProcesses,
        body: (AgentProcess) async throws -> Value
    ) async throws -> Outcome<Value> {
        let mark = strays.begin()
        let run = RunningCommand(command: command, mark: mark, strays: strays)
        let result: Swift.Result<Outcome<Value>, any Error>
        do {
            result = .success(try await run.launch(body))
        } catch {
            result = .failure(error)
        }
        strays.ended(mark)
        let deadline = run.deadline
        // Not a part of the caller's task: a cancelled one could not wait.
        await Task { await strays.end(by: deadline) }.value
        try Task.checkCancellation()
        return try result.get()
    }

    fileprivate init(
        _ pid: pid_t,
        _ writer: StandardInputWriter,
        _ output: SubprocessOutputSequence,
        _ errors: ErrorTail,
        _ run: RunningCommand
    ) {
        self.pid = pid
        self.writer = writer
        self.errors = errors
        lineLimit = run.command.lineLimit
        mark = run.mark
        strays = run.strays
        sequence = output
    }

    /// Asks the process, and all that it has started, to end.
    package func askToEnd() {
        strays.terminate(pid)
        strays.terminate(marked: mark)
    }

    /// Whether the process runs, or anything that it has started.
    package var isAlive: Bool { !ProcessTable.hasEnded(pid) || strays.isAlive(marked: mark) }

    /// Writes to standard input. Throws `DriverError` when the process does not take it any more, and
    /// `CancellationError`, also while the process does not read.
    package func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            // Cancellation cuts a write short, and so does the end of the process.
            let count = (try? await writer.write(Array(rest))) ?? 0
            try Task.checkCancellation()
            guard count > 0 else { throw DriverError("the agent does not take input any more" + errors.explanation) }
            rest = rest.dropFirst(count)
        }
    }

    /// Closes standard input.
    package func finishInput() async {
        try? await writer.finish()
    }

    /// Standard output in the pieces in which it comes, once; nil at the end, and when the task is cancelled.
    package var chunks: Chunks { Chunks(base: sequence) }

    /// Standard output by lines, once, without the line breaks; throws `DriverError` for a line above the limit.
    package var lines: Lines { Lines(base: Chunks(base: sequence), limit: lineLimit) }

    /// The last lines of standard error so far.
    package var errorLines: [String] { errors.lines }
}

/// One run of a command.
private struct RunningCommand {
    let command: AgentProcess.Command
    let mark: String
    let strays: StrayProcesses
    private let stop = StopTime()

    init(command: AgentProcess.Command, mark: String, strays: StrayProcesses) {
        self.command = command
        self.mark = mark
        self.strays = strays
    }

    /// When what is left of the process has to be killed.
    var deadline: ContinuousClock.Instant { stop.begin() + command.endGrace }

    func launch<Value: Sendable>(
        _ body: (AgentProcess) async throws -> Value
    ) async throws -> AgentProcess.Outcome<Value> {
        do {
            return try await command.mergesErrors ? runMerged(body) : runApart(body)
        } catch let error as SubprocessError {
            try Task.checkCancellation()
            throw explained(error)
        }
    }

    private func runMerged<Value: Sendable>(
        _ body: (AgentProcess) async throws -> Value
    ) async throws -> AgentProcess.Outcome<Value> {
        let errors = ErrorTail()
        let result = try await Subprocess.run(
            configuration,
            input: .inputWriter,
            output: .sequence,
            error: .combinedWithOutput
        ) { execution in
            let pid = execution.processIdentifier.value
            return try await follow(
                AgentProcess(pid, execution.standardInputWriter, execution.standardOutput, errors, self),
                body
            )
        }
        return outcome(result.closureResult, result.terminationStatus, errors)
    }

    private func runApart<Value: Sendable>(
        _ body: (AgentProcess) async throws -> Value
    ) async throws -> AgentProcess.Outcome<Value> {
        let errors = ErrorTail()
        let result = try await Subprocess.run(
            configuration,
            input: .inputWriter,
            output: .sequence,
            error: .sequence
        ) { execution in
            let pid = execution.processIdentifier.value
            let errorOutput = execution.standardError
            async let reading: Void = errors.read(errorOutput, command.onErrorOutput)
            let value = try await follow(
                AgentProcess(pid, execution.standardInputWriter, execution.standardOutput, errors, self),
                body
            )
            await reading
            return value
        }
        return outcome(result.closureResult, result.terminationStatus, errors)
    }

    private func follow<Value: Sendable>(
        _ process: AgentProcess,
        _ body: (AgentProcess) async throws -> Value
    ) async throws -> Value {
        strays.started(mark, process.pid)
        return try await withTaskCancellationHandler {
            do {
                let value = try await body(process)
                await process.finishInput()
                await endAfterGrace(process.pid)
                return value
            } catch {
                askToEnd(process.pid)
                throw error
            }
        } onCancel: {
            askToEnd(process.pid)
        }
    }

    /// The process is not waited for before this returns, so its number cannot be another's yet.
    private func endAfterGrace(_ pid: pid_t) async {
        guard let grace = command.exitGrace else { return }
        if await hasEnded(pid, by: .now + grace) { return }
        askToEnd(pid)
        if await hasEnded(pid, by: deadline) { return }
        kill(-pid, SIGKILL)
    }

    private func hasEnded(_ pid: pid_t, by deadline: ContinuousClock.Instant) async -> Bool {
        while !ProcessTable.hasEnded(pid) {
            guard ContinuousClock.now < deadline, !Task.isCancelled else { return false }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return true
    }

    private func askToEnd(_ pid: pid_t) {
        _ = stop.begin()
        strays.terminate(pid)
    }

    private func outcome<Value: Sendable>(
        _ value: Value,
        _ status: TerminationStatus,
        _ errors: ErrorTail
    ) -> AgentProcess.Outcome<Value> {
        let exitCode =
            switch status {
            case .exited(let code): Int(code)
            case .signaled(let signal): 128 + Int(signal)
            }
        return AgentProcess.Outcome(value: value, exitCode: exitCode, errorLines: errors.lines)
    }

    private func explained(_ error: SubprocessError) -> DriverError {
        let program = command.arguments.first ?? ""
        switch error.code {
        case .executableNotFound: return DriverError("\(program) was not found in the sandbox")
        case .failedToChangeWorkingDirectory: return DriverError("the working copy is gone")
        default: return DriverError("\(program) could not be run: \(error)")
        }
    }

    private var configuration: Configuration {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: command.endGrace),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero),
        ]
        let program = command.arguments.first ?? ""
        let environment = command.environment.merging([StrayProcesses.variable: mark]) { $1 }
        return Configuration(
            executable: program.contains("/") ? .path(FilePath(program)) : .name(program),
            arguments: Arguments(Array(command.arguments.dropFirst())),
            environment: .custom(
                Dictionary(
                    environment.compactMap { name, value in Environment.Key(rawValue: name).map { ($0, value) } },
                    uniquingKeysWith: { $1 }
                )
            ),
            workingDirectory: FilePath(command.workingDirectory),
            platformOptions: options
        )
    }
}

/// When a process was first asked to end.
private final class StopTime: Sendable {
    private let time = Mutex<ContinuousClock.Instant?>(nil)

    func begin() -> ContinuousClock.Instant {
        time.withLock { time in
            let first = time ?? .now
            time = first
            return first
        }
    }
}
