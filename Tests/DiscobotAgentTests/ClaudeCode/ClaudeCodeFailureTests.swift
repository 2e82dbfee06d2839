// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent
import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

/// What goes wrong, with the real program, or a script in its place that goes wrong at will.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ClaudeCodeFailureTests {
    @Test func `a refused key ends the turn`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn("STATUS 401")
            let error = try #require(turn.error)
            #expect(error.message.contains("refused the API key"))
            #expect(!error.message.contains("sk-ant"))
            // It was not tried as often as other failures.
            #expect(bench.api.calls.count < 5)
            let next = try await bench.turn("SAY Better.")
            #expect(next.message.text == "Better.")
        }
    }

    @Test func `a busy service is tried again`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn("STATUS 529 1\nSAY At last.")
            #expect(turn.error == nil)
            #expect(turn.message.text == "At last.")
            #expect(bench.api.calls.count == 2)
        }
    }

    @Test func `a broken stream does not break the order`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn("SAY Before the break.\nBREAK\nSAY After it.")
            // What came just before the break the program may lose; what comes after it never was sent.
            #expect(turn.message.text.isEmpty || turn.message.text.hasPrefix("Before"))
            #expect(!turn.message.text.contains("After"))
            #expect(!turn.message.text.isEmpty || turn.error != nil)
        }
    }

    @Test func `without a key the user is told what is missing`() async throws {
        try await ClaudeCodeBench.with { bench in
            var bench = bench
            bench.environment["ANTHROPIC_API_KEY"] = nil
            let turn = try await bench.turn("SAY Hello.")
            #expect(turn.error?.message == "Claude Code has no credentials; give the project an Anthropic API key")
        }
    }

    @Test func `without the program the user is told how to install it`() async throws {
        try await ClaudeCodeBench.with { bench in
            var bench = bench
            bench.environment["PATH"] = "/usr/bin:/bin"
            let turn = try await bench.turn("SAY Hello.")
            #expect(turn.error?.message.contains("npm install -g @anthropic-ai/claude-code") == true)
        }
    }

    @Test func `a turn that is cancelled leaves nothing running and can be followed`() async throws {
        var limits = ClaudeCodeDriver.Limits()
        // A busy machine needs longer to keep the conversation.
        limits.interrupt = .seconds(60)
        try await ClaudeCodeBench.with(limits: limits) { bench in
            let (begun, signal) = AsyncStream.makeStream(of: Void.self)
            let cancelled = Task {
                try await bench.turn(
                    "SAY This is the long beginning of it.\nHOLD",
                    onChunk: { chunk in
                        if case .textDelta = chunk { signal.yield() }
                    }
                )
            }
            for await _ in begun { break }
            cancelled.cancel()
            let turn = try await cancelled.value
            #expect(turn.isCancelled)
            #expect(bench.processes.isEmpty)
            let next = try await bench.turn("SAY Still here.")
            #expect(next.message.text == "Still here.")
            let conversation = try #require(bench.api.calls.last?.conversation)
            #expect(conversation.contains("This is"))
            #expect(conversation.contains("[Request interrupted by user]"))
        }
    }

    @Test func `a tool that runs ends with the turn that is cancelled`() async throws {
        try await ClaudeCodeBench.with { bench in
            let (begun, signal) = AsyncStream.makeStream(of: Void.self)
            let cancelled = Task {
                try await bench.turn(
                    #"TOOL Bash {"command":"touch started; (trap '' TERM; setsid sleep 300) & sleep 300"}"#,
                    mode: "ask",
                    answers: {
                        signal.yield()
                        return [$0.questions[0].question: "Allow"]
                    }
                )
            }
            for await _ in begun { break }
            try await eventually { bench.directory.exists("work/started") }
            cancelled.cancel()
            let turn = try await cancelled.value
            #expect(turn.isCancelled)
            #expect(bench.processes.isEmpty)
        }
    }

    @Test func `a question that is open does not hold up cancellation`() async throws {
        try await ClaudeCodeBench.with { bench in
            let (asked, signal) = AsyncStream.makeStream(of: Void.self)
            let cancelled = Task {
                try await bench.turn(
                    #"TOOL Bash {"command":"touch never"}"#,
                    mode: "ask",
                    answers: { _ in
                        signal.yield()
                        let (never, _) = AsyncStream.makeStream(of: Void.self)
                        for await _ in never {}
                        return [:]
                    }
                )
            }
            for await _ in asked { break }
            cancelled.cancel()
            let turn = try await cancelled.value
            #expect(turn.isCancelled)
            #expect(bench.processes.isEmpty)
            #expect(!bench.directory.exists("work/never"))
        }
    }

    @Test func `a program that is killed in the middle is an error`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                "SAY This is the long beginning of it.\nHOLD",
                onChunk: { chunk in
                    guard case .textDelta = chunk else { return }
                    for process in bench.processes { kill(process, SIGKILL) }
                }
            )
            #expect(turn.error?.message.hasPrefix("Claude Code was ended by signal 9") == true)
            #expect(turn.message.text.hasPrefix("This"))
            #expect(bench.processes.isEmpty)
        }
    }

    @Test func `the settings of tool servers are no arguments and are gone after the turn`() async throws {
        try await ClaudeCodeBench.with { bench in
            var bench = bench
            var config = MCPServer.Configuration(type: .stdio, command: "/bin/sh")
            config.args = ["-c", #"tr '\0' '\n' < /proc/$PPID/cmdline > arguments; echo "$SECRET_WORD" > secret; cat"#]
            config.env = ["SECRET_WORD": "heron-4711"]
            bench.agent.mcpServers = [.init(name: "test", config: config)]
            let (directory, api) = (bench.directory, bench.api)
            let turn = try await bench.turn(
                "SAY This is the long beginning of it.\nHOLD",
                onChunk: { chunk in
                    guard case .textStart = chunk else { return }
                    let state = directory.file("state/mcp.json")
                    let mode = try FileManager.default.attributesOfItem(atPath: state)[.posixPermissions] as? Int
                    #expect(mode == 0o600)
                    api.release()
                }
            )
            #expect(turn.error == nil)
            let arguments = try String(contentsOfFile: bench.directory.file("work/arguments"), encoding: .utf8)
            #expect(arguments.contains("--mcp-config"))
            #expect(!arguments.contains("heron"))
            let secret = try String(contentsOfFile: bench.directory.file("work/secret"), encoding: .utf8)
            #expect(secret == "heron-4711\n")
            #expect(try directory.contents("state") == ["session"])
        }
    }
}
