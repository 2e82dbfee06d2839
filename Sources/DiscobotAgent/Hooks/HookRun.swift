// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Glibc

/// One run of a hook.
struct HookRun: Sendable {
    let hook: HookDefinition
    let command: AgentProcess.Command
    /// Where its output is kept.
    let outputPath: String
    let strays: StrayProcesses
    let limit: Duration

    struct Result: Sendable, Equatable {
        let exitCode: Int
        /// Both outputs in order; the newest part of one that is long.
        let output: String
    }

    /// What a shell says of a command that took too long.
    private static let tooLong = 124
    private static let notRun = 126
    private static let outputLimit = 512 << 10
    /// How long what the hook has written may take to get here when the hook has ended, on a busy machine.
    private static let drainTime = Duration.seconds(5)

    /// Throws `CancellationError`; any other failure is a result. Nothing of the hook runs afterwards.
    @concurrent
    func run() async throws -> Result {
        unlink(outputPath)
        let result = try await outcome()
        try? Data(result.output.utf8).write(to: URL(filePath: outputPath))
        return result
    }

    private func outcome() async throws -> Result {
        if let problem = hook.problem { return Result(exitCode: Self.notRun, output: problem + "\n") }
        if hook.runsAsRoot, geteuid() != 0 {
            return Result(exitCode: Self.notRun, output: "run_as: root: nobody is root in this sandbox\n")
        }
        let tail = OutputTail(limit: Self.outputLimit)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask { try await process(tail) }
            group.addTask {
                try await Task.sleep(upTo: limit)
                return Self.tooLong
            }
            let first = try await group.next() ?? Self.notRun
            group.cancelAll()
            // The cancelled program has its time to end.
            while !group.isEmpty { _ = await group.nextResult() }
            try Task.checkCancellation()
            let note = first == Self.tooLong ? "\nthe hook took longer than \(limit) and was ended\n" : ""
            return Result(exitCode: first, output: tail.text + note)
        }
    }

    private func process(_ tail: OutputTail) async throws -> Int {
        do {
            return try await AgentProcess.run(command, strays: strays) { process in
                await process.finishInput()
                try await read(process, tail)
            }.exitCode
        } catch let error as DriverError {
            tail.append(Array("\(error.message)\n".utf8))
            return Self.notRun
        }
    }

    /// Reads until the output ends, or a moment after the hook has: what it leaves in the background may write for ever.
    private func read(_ process: AgentProcess, _ tail: OutputTail) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for try await bytes in process.chunks {
                    tail.append(bytes)
                    // Reading takes no notice of it while there is something to read.
                    try Task.checkCancellation()
                }
            }
            group.addTask {
                var pause = Duration.milliseconds(5)
                while !ProcessTable.hasEnded(process.pid) {
                    try await Task.sleep(for: pause)
                    pause = min(pause * 2, .milliseconds(100))
                }
                try await Task.sleep(for: Self.drainTime)
            }
            _ = try await group.next()
            group.cancelAll()
        }
    }
}
