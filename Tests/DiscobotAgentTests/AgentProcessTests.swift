// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

@Suite(.serialized, .timeLimit(.minutes(10)))
struct AgentProcessTests {
    private static let strays = StrayProcesses(owner: "test-\(getpid())", isAlone: false)

    private func command(_ script: String) -> AgentProcess.Command {
        AgentProcess.Command(
            arguments: ["sh", "-c", script],
            environment: ["PATH": "/usr/bin:/bin"],
            workingDirectory: "/"
        )
    }

    private func run<Value: Sendable>(
        _ command: AgentProcess.Command,
        body: (AgentProcess) async throws -> Value
    ) async throws -> AgentProcess.Outcome<Value> {
        try await AgentProcess.run(command, strays: Self.strays, body: body)
    }

    @Test
    func `lines go in and out, and errors are kept`() async throws {
        let outcome = try await run(command("read a; echo got $a; echo bad >&2; read b; printf last$b; exit 4")) {
            process in
            var lines: [String] = []
            try await process.write(Array("one\n".utf8))
            for try await line in process.lines {
                lines.append(String(decoding: line, as: UTF8.self))
                if lines.count == 1 { try await process.write(Array("two\n".utf8)) }
            }
            return lines
        }
        #expect(outcome.value == ["got one", "lasttwo"])
        #expect(outcome.exitCode == 4)
        #expect(outcome.errorLines == ["bad"])
    }

    @Test
    func `an endless line is an error`() async throws {
        var endless = command("yes | tr -d '\\n'")
        endless.lineLimit = 1 << 16
        await #expect(throws: DriverError("the agent wrote a line of more than 65536 bytes")) {
            try await run(endless) { process in for try await _ in process.lines {} }
        }
    }

    @Test
    func `a program that is missing is named`() async throws {
        let missing = AgentProcess.Command(
            arguments: ["no-such-agent"],
            environment: ["PATH": "/usr/bin:/bin"],
            workingDirectory: "/"
        )
        await #expect(throws: DriverError("no-such-agent was not found in the sandbox")) {
            try await run(missing) { _ in }
        }
    }

    @Test
    func `a process that does not end by itself is ended after its grace`() async throws {
        var silent = command("trap '' TERM; echo ready; exec >&-; sleep 1000")
        silent.exitGrace = .milliseconds(10)
        let outcome = try await run(silent) { process in for try await _ in process.lines {} }
        #expect(outcome.exitCode > 128)
    }

    @Test
    func `what is left behind is gone, wherever it has fled`() async throws {
        try await TemporaryDirectory.with { directory in
            let file = directory.file("pids")
            let script = """
                setsid sh -c 'echo $$ >> \(file); trap "" TERM; sleep 1000' &
                setsid sh -c 'echo $$ >> \(file); sleep 1000 & wait' &
                (sh -c 'echo $$ >> \(file); exec sleep 1000' &)
                while [ $(wc -l < \(file)) -lt 3 ]; do sleep 0.01; done
                """
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            _ = try await run(command(script)) { process in for try await _ in process.chunks {} }
            let pids = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").compactMap { pid_t($0) }
            #expect(pids.count == 3)
            for pid in pids { #expect(ProcessTable.hasEnded(pid)) }
        }
    }

    @Test
    func `a cancelled task leaves nothing behind`() async throws {
        try await TemporaryDirectory.with { directory in
            let file = directory.file("pid")
            let script = "setsid sh -c 'echo $$ > \(file).new; mv \(file).new \(file); sleep 1000' & sleep 1000"
            let task = Task {
                try await run(command(script)) { process in for try await _ in process.chunks {} }
            }
            try await eventually { FileManager.default.fileExists(atPath: file) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let last = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
            #expect(ProcessTable.hasEnded(last))
        }
    }

    @Test
    func `a process that does not read does not hold up who writes to it`() async throws {
        struct Enough: Error {}
        await #expect(throws: Enough.self) {
            try await run(command("echo ready; sleep 1000")) { process in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await process.write([UInt8](repeating: 0, count: 1 << 20)) }
                    for try await _ in process.chunks { throw Enough() }
                }
            }
        }
        await #expect(throws: DriverError("the agent does not take input any more")) {
            try await run(command("echo ready; exec <&-; sleep 1000")) { process in
                try await process.write([UInt8](repeating: 0, count: 1 << 20))
            }
        }
    }

    @Test
    func `a process is read from its line of the process table`() {
        let line = "7 (a) b (c) Z 3 4 5 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 8412 0 0 18446744073709551615 0"
        let entry = ProcessTable.Entry(pid: 7, stat: Array(line.utf8))
        #expect(entry == ProcessTable.Entry(pid: 7, parent: 3, session: 5, isZombie: true, start: 8412))
        #expect(ProcessTable.Entry(pid: 7, stat: Array("7 (a".utf8)) == nil)
    }

    @Test
    func `a process is as old as it is`() async throws {
        let own = try #require(ProcessTable.now().entries.first { $0.pid == getpid() })
        let before = own.age
        let outcome = try await run(command("cat /proc/$$/stat")) { process in
            var text: [UInt8] = []
            for try await bytes in process.chunks { text += bytes }
            return text
        }
        let child = try #require(ProcessTable.Entry(pid: 7, stat: outcome.value))
        // Ticks are hundredths of a second.
        #expect(child.age >= .zero - .milliseconds(20) && child.age <= own.age - before + .milliseconds(20))
        #expect(own.age >= before && child.start >= own.start)
    }
}
