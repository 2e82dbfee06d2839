// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

/// Permissions and questions, with the real program.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ClaudeCodeQuestionTests {
    @Test func `a tool waits for the user's permission`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                #"TOOL Bash {"command":"touch allowed","description":"Make it"}"#,
                mode: "ask",
                answers: { question in
                    #expect(!bench.directory.exists("work/allowed"))
                    return [question.questions[0].question: "Allow"]
                }
            )
            let question = try #require(turn.questions.first)
            #expect(question.toolUseID == turn.tools.first?.toolCallId)
            #expect(question.questions.map(\.question) == ["Allow Bash?"])
            #expect(question.questions[0].options.map(\.label) == ["Allow", "Always allow for this session", "Deny"])
            #expect(question.questions[0].options[0].description == "touch allowed")
            #expect(turn.tools.first?.state == .outputAvailable)
            #expect(bench.directory.exists("work/allowed"))
        }
    }

    @Test func `a tool that is denied is not used`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                #"TOOL Bash {"command":"touch denied"}"#,
                mode: "ask",
                answers: { [$0.questions[0].question: "Use another name"] }
            )
            #expect(turn.tools.first?.state == .outputError)
            #expect(turn.tools.first?.errorText == "The user did not allow this. The user says: Use another name")
            #expect(turn.error == nil)
            #expect(!bench.directory.exists("work/denied"))
        }
    }

    @Test func `a tool that is always allowed is asked for once`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                """
                TOOL Bash {"command":"touch one; touch two"}
                NEXT
                TOOL Bash {"command":"touch one; touch two"}
                """,
                mode: "ask",
                answers: { [$0.questions[0].question: "Always allow for this session"] }
            )
            #expect(turn.questions.count == 1)
            #expect(turn.tools.map(\.state) == [.outputAvailable, .outputAvailable])
            // Also in the next turn.
            let next = try await bench.turn(#"TOOL Bash {"command":"touch one; touch two"}"#, mode: "ask")
            #expect(next.questions.isEmpty)
            #expect(next.tools.map(\.state) == [.outputAvailable])
            // Nothing is written into the working copy about it.
            #expect(try bench.directory.contents("work") == ["one", "two"])
        }
    }

    @Test(arguments: [nil, "ask", "plan"])
    func `the agent's questions are the user's in every mode`(mode: String?) async throws {
        try await ClaudeCodeBench.with { bench in
            let input =
                #"{"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"#
                + #""options":[{"label":"Blue","description":"sky"},{"label":"Red","description":"rose"}]}]}"#
            let turn = try await bench.turn(
                "TOOL AskUserQuestion \(input)",
                mode: mode,
                answers: { _ in ["Which colour?": "Blue"] }
            )
            let expected = PendingQuestion.Question(
                question: "Which colour?",
                header: "Colour",
                options: [.init(label: "Blue", description: "sky"), .init(label: "Red", description: "rose")],
                multiSelect: false
            )
            #expect(turn.questions.map(\.questions) == [[expected]])
            #expect(turn.questions.first?.toolUseID == turn.tools.first?.toolCallId)
            #expect(turn.message.text.contains(#""Which colour?"="Blue""#))
        }
    }

    @Test func `a plan is shown, and approved is worked by`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                Self.planning + "\nNEXT\n" + #"TOOL Bash {"command":"touch built"}"#,
                mode: "plan",
                answers: { [$0.questions[0].question: "Approve"] }
            )
            let question = try #require(turn.questions.first?.questions.first)
            #expect(question.question.contains("Build the bridge"))
            #expect(question.options.map(\.label) == ["Approve", "Keep planning"])
            #expect(turn.tools.last?.state == .outputAvailable)
            #expect(bench.directory.exists("work/built"))
        }
    }

    @Test func `a plan that is not approved stays a plan`() async throws {
        try await ClaudeCodeBench.with { bench in
            let turn = try await bench.turn(
                Self.planning,
                mode: "plan",
                answers: { [$0.questions[0].question: "Keep planning"] }
            )
            #expect(turn.tools.last?.toolName == "ExitPlanMode")
            #expect(turn.tools.last?.state == .outputError)
            #expect(turn.error == nil)
        }
    }

    private static let planning = """
        TOOL Write {"file_path":"$PLAN_FILE","content":"Build the bridge"}
        NEXT
        TOOL ExitPlanMode {}
        """
}
