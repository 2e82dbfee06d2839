// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

/// Turns of the shell driver from end to end.
@Suite(.timeLimit(.minutes(10)))
struct AgentTurnTests {
    private func output(_ chunks: [Chunk]) -> JSONValue? {
        for case .toolOutputAvailable(_, let output) in chunks { return output }
        return nil
    }

    private func text(_ chunks: [Chunk]) -> String {
        chunks.compactMap { chunk in
            if case .textDelta(_, let delta) = chunk { delta } else { nil }
        }
        .joined()
    }

    @Test
    func `a script prints text within a tool call`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let script = "cat file; echo error >&2; git branch --show-current; exit 3"
            try await runtime.start(script, completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            let tool = "msg-c-bash"
            #expect(
                chunks.prefix(3) == [
                    .start(messageId: "msg-c"), .toolInputStart(toolCallId: tool, toolName: "bash"),
                    .toolInputAvailable(toolCallId: tool, toolName: "bash", input: ["command": .string(script)]),
                ]
            )
            #expect(text(chunks) == "one\nerror\nmain\n")
            let result: JSONValue = ["exitCode": .number(3), "output": "one\nerror\nmain\n"]
            #expect(
                chunks.suffix(3) == [
                    .textEnd(id: "text-msg-c"), .toolOutputAvailable(toolCallId: tool, output: result), .finish,
                ]
            )
        }
    }

    @Test
    func `output that is not text becomes text, and a long script runs`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let script = "# \(String(repeating: "x", count: 300_000))\nprintf 'a\\377\\303'; printf '\\251b'"
            try await runtime.start(script, completion: "c")
            #expect(text(try await runtime.chunks(of: "c")) == "a\u{FFFD}éb")
        }
    }

    @Test
    func `cancelling ends the script and all that has fled from it`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let file = directory.file("pids")
            let script = """
                env -i setsid sh -c 'echo $$ >> \(file); trap "" TERM; /bin/sleep 1000' &
                (setsid sh -c 'echo $$ >> \(file); exec /bin/sleep 1000' &)
                while [ $(wc -l < \(file)) -lt 2 ]; do sleep 0.01; done
                echo ready; sleep 1000
                """
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            try await runtime.start(script, completion: "c")
            try await runtime.wait(for: 5, of: "c")
            let response = try await runtime.client.cancel()
            #expect(response == CompletionResponse(success: true, completionId: "c", status: "cancelled"))
            let pids = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").compactMap { pid_t($0) }
            #expect(pids.count == 2)
            for pid in pids { #expect(ProcessTable.hasEnded(pid)) }
            #expect(ProcessTable.now().descendants(of: runtime.identifier).isEmpty)
            let chunks = try await runtime.chunks(of: "c")
            #expect(
                chunks.suffix(3) == [
                    .textEnd(id: "text-msg-c"),
                    .toolOutputError(toolCallId: "msg-c-bash", errorText: "the turn was cancelled"),
                    .abort(reason: "the turn was cancelled"),
                ]
            )
        }
    }

    @Test
    func `a process in the background does not hold the turn open`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            try await runtime.start("sleep 1000 & setsid sleep 1000 & echo $!", completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            #expect(output(chunks)?["exitCode"] == .number(0))
            let pid = try #require(pid_t(text(chunks).trimmingCharacters(in: .newlines)))
            #expect(ProcessTable.hasEnded(pid))
        }
    }

    @Test
    func `a second runtime that an agent leaves behind is a stray like any other`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let socket = directory.file("inner.sock")
            let script = """
                DISCOBOT_SOCKET=\(socket) DISCOBOT_DATA_DIR=\(directory.file("inner")) WORKSPACE_PATH=\(directory.path) \
                    setsid \(AgentRuntimeProcess.executable) 2> /dev/null &
                while [ ! -S \(socket) ]; do sleep 0.01; done; echo $!
                """
            try await runtime.start(script, completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            #expect(output(chunks)?["exitCode"] == .number(0))
            let pid = try #require(pid_t(text(chunks).trimmingCharacters(in: .newlines)))
            #expect(ProcessTable.hasEnded(pid))
        }
    }

    @Test
    func `a flood is cut, in bounded memory`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            try await runtime.start("yes 0123456789abcdef | head -c 200000000", completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            #expect(text(chunks).utf8.count == ShellDriver.outputLimit)
            guard case .toolOutputError(_, let reason) = try #require(chunks.dropLast().last) else {
                Issue.record("no reason")
                return
            }
            #expect(reason.hasPrefix("output limit"))
            #expect(chunks.last == .finish)
            let status = try String(contentsOfFile: "/proc/\(runtime.identifier)/status", encoding: .utf8)
            let peak = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
            let kilobytes = try #require(peak.split(separator: " ").dropFirst().first.flatMap { Int($0) })
            #expect(kilobytes < 200_000)
        }
    }

    @Test
    func `a killed runtime ends its turn at the next start, and replays the same`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            try await runtime.start("echo old", completion: "old")
            let old = try await runtime.lines(of: "old")
            let script = "echo $$ > \(directory.file("pid")); printf '1\\n2\\n3\\n'; exec sleep 1000"
            try await runtime.start(script, completion: "c")
            try await runtime.wait(for: 5, of: "c")
            runtime.kill()
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            #expect(try await next.lines(of: "old") == old)
            let chunks = try await next.chunks(of: "c")
            #expect(text(chunks) == "1\n2\n3\n")
            #expect(chunks.last == .error(errorText: Journal.interruption))
            #expect(
                chunks.dropLast().last
                    == .toolOutputError(
                        toolCallId: "msg-c-bash",
                        errorText: "the agent has ended before the tool"
                    )
            )
            #expect(try await next.client.status().error == Journal.interruption)
            // Nothing of the turn runs any more, and it does not run again.
            let pid = try String(contentsOfFile: directory.file("pid"), encoding: .utf8)
            let last = try #require(pid_t(pid.trimmingCharacters(in: .newlines)))
            #expect(ProcessTable.hasEnded(last))
            try await next.start(script, completion: "c")
            #expect(try await next.chunks(of: "c") == chunks)
        }
    }

    @Test
    func `what a turn of a killed runtime was given is removed at the next start`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            try await runtime.start("echo begun; sleep 1000", completion: "c")
            try await runtime.wait(for: 5, of: "c")
            let drivers = directory.file("data/agent/drivers")
            let script = "\(drivers)/shell/script"
            let permissions = try FileManager.default.attributesOfItem(atPath: script)[.posixPermissions] as? Int
            #expect(permissions == 0o600)
            runtime.kill()
            #expect(FileManager.default.fileExists(atPath: script))
            try FileManager.default.createDirectory(
                atPath: "\(drivers)/claude-code",
                withIntermediateDirectories: false
            )
            for name in ["mcp.json", "mcp.json.new", "settings.json", "system-prompt.txt", "session", "rules.json"] {
                try directory.write("x", to: "data/agent/drivers/claude-code/\(name)")
            }
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            #expect(try directory.contents("data/agent/drivers/shell").isEmpty)
            #expect(try directory.contents("data/agent/drivers/claude-code") == ["rules.json", "session"])
        }
    }

    @Test
    func `resuming anywhere gives each chunk once`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            try await runtime.start("for i in $(seq 300); do echo $i; sleep 0.001; done", completion: "c")
            async let live = runtime.lines(of: "c")
            let all = try await live
            for _ in 0..<100 {
                let start = Int.random(in: 0..<all.count)
                #expect(try await runtime.lines(of: "c", after: start) == Array(all[start...]))
            }
        }
    }

    @Test
    func `a runtime that is asked to end aborts its turn first`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            try await runtime.start("echo ready; sleep 1000", completion: "c")
            try await runtime.wait(for: 5, of: "c")
            #expect(await runtime.terminate() == 0)
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            #expect(
                try await next.chunks(of: "c").last
                    == .error(
                        errorText: "the sandbox was stopped while the agent worked; send the message again to go on"
                    )
            )
        }
    }
}
