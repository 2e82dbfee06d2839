// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

/// The driver with the real program.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ClaudeCodeTurnTests {
    @Test func `thinking and text come as parts`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn("THINK Let me see, what is it\nSAY Hello, I am the answer.\nSAY And more.")
            #expect(turn.error == nil)
            #expect(
                turn.message.parts == [
                    .reasoning("Let me see, what is it"), .text("Hello, I am the answer."), .text("And more."),
                ]
            )
            // The text came in pieces, once.
            #expect(turn.chunks.count { if case .textDelta = $0 { true } else { false } } > 3)
        }
    }

    @Test func `a tool is used at once and its result comes`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                """
                SAY I look.
                TOOL Bash {"command":"echo made > made.txt && cat made.txt","description":"Make a file"}
                """
            )
            #expect(turn.questions.isEmpty)
            let tool = try #require(turn.tools.first)
            #expect(tool.toolName == "Bash")
            #expect(tool.state == .outputAvailable)
            #expect(tool.input?["description"] == "Make a file")
            #expect(tool.output == "made")
            #expect(turn.message.parts.last == .text("Tool finished: made"))
            #expect(bench.directory.exists("work/made.txt"))
        }
    }

    @Test func `a tool that fails has an error`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(#"TOOL Read {"file_path":"/nowhere/at/all"}"#)
            #expect(turn.tools.first?.state == .outputError)
            #expect(turn.tools.first?.errorText?.contains("not exist") == true)
            #expect(turn.error == nil)
        }
    }

    @Test func `tools at once and messages after another keep their ids apart`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                """
                SAY First.
                TOOL Bash {"command":"touch a"}
                TOOL Bash {"command":"touch b"}
                NEXT
                THINK Hm.
                SAY Second.
                TOOL Bash {"command":"touch c"}
                NEXT
                SAY Third.
                """
            )
            #expect(turn.tools.map(\.state) == [.outputAvailable, .outputAvailable, .outputAvailable])
            #expect(turn.message.text == "First.\nSecond.\nThird.")
        }
    }

    @Test func `a subagent's tools are shown and its words are not`() async throws {
        try await ClaudeCodeBench.with { bench in
            let input =
                #"{"description":"Sub","prompt":"SAY hidden\nTOOL Bash {\"command\":\"touch sub\"}","#
                + #""subagent_type":"general-purpose"}"#
            let turn = try await bench.turn("TOOL Task \(input)\nNEXT\nSAY All is done.")
            #expect(turn.error == nil)
            #expect(turn.tools.map(\.toolName) == ["Task", "Bash"])
            #expect(turn.tools.map(\.state) == [.outputAvailable, .outputAvailable])
            #expect(turn.message.text == "All is done.")
            #expect(bench.directory.exists("work/sub"))
        }
    }

    @Test func `the next turn goes on with the conversation in a new process`() async throws {
        try await ClaudeCodeBench.with { bench in
            _ = try await bench.turn("SAY The word is heron.")
            let turn = try await bench.turn("SAY I know.")
            #expect(turn.error == nil)
            let last = try #require(bench.api.calls.last)
            #expect(last.conversation.contains("The word is heron."))
            #expect(last.conversation.contains("SAY I know."))
        }
    }

    @Test func `a conversation whose transcript is gone begins anew`() async throws {
        try await ClaudeCodeBench.with { bench in
            _ = try await bench.turn("SAY One.")
            try FileManager.default.removeItem(atPath: bench.directory.file("home/.claude/projects"))
            let turn = try await bench.turn("SAY Two.")
            #expect(turn.error == nil)
            #expect(turn.message.text == "Two.")
            #expect(bench.api.calls.last?.conversation.contains("SAY One.") == false)
            // And goes on from there.
            _ = try await bench.turn("SAY Three.")
            #expect(bench.api.calls.last?.conversation.contains("SAY Two.") == true)
        }
    }

    @Test func `model, thinking and the agent's prompt reach the model`() async throws {
        try await ClaudeCodeBench.with { bench in
            var bench = bench
            bench.agent.systemPrompt = "Always be a heron."
            _ = try await bench.turn("SAY a", model: "anthropic/claude-haiku-4-5", reasoning: "low")
            let old = try #require(bench.api.calls.last?.body)
            #expect(old["model"].string?.hasPrefix("claude-haiku-4-5") == true)
            #expect(old["thinking"]["budget_tokens"].int == 4000)
            #expect(old["system"].list.contains { $0["text"].string?.contains("Always be a heron.") == true })

            bench.agent.systemPrompt = "Always be a stork."
            _ = try await bench.turn("SAY a", model: "claude-opus-5-5", reasoning: "high")
            let new = try #require(bench.api.calls.last?.body)
            #expect(new["output_config"]["effort"].string == "high")
            #expect(new["system"].list.contains { $0["text"].string?.contains("Always be a stork.") == true })
        }
    }
}
