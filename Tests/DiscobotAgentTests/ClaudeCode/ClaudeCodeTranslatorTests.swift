// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotAgent

/// Lines as the program writes them, to chunks.
struct ClaudeCodeTranslatorTests {
    private func chunks(_ lines: String) -> [Chunk] {
        var translator = ClaudeCodeTranslator(messageID: "m")
        return lines.split(separator: "\n").flatMap { translator.translate(ClaudeCodeLine(Array($0.utf8))) }
    }

    private static let start =
        #"{"event":{"message":{"id":"msg_1","role":"assistant"},"type":"message_start"},"type":"stream_event"}"#

    private func event(_ text: String) -> String {
        #"{"session_id":"s","event":\#(text),"parent_tool_use_id":null,"type":"stream_event"}"#
    }

    @Test func `a block that came in pieces is not repeated`() {
        let lines = [
            Self.start,
            event(#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
            event(#"{"delta":{"text":"Hel","type":"text_delta"},"index":0,"type":"content_block_delta"}"#),
            event(#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#),
            #"{"type":"assistant","message":{"content":[{"type":"text","text":"Hello"}],"id":"msg_1"},"session_id":"s"}"#,
            event(#"{"type":"content_block_stop","index":0}"#),
            #"{"duration_ms":1,"is_error":false,"result":"Hello","subtype":"success","type":"result"}"#,
        ]
        #expect(
            chunks(lines.joined(separator: "\n")) == [
                .textStart(id: "text-m-1"), .textDelta(id: "text-m-1", delta: "Hel"),
                .textDelta(id: "text-m-1", delta: "lo"), .textEnd(id: "text-m-1"),
            ]
        )
    }

    @Test func `a message that came at once is shown whole`() {
        let lines = """
            {"type":"assistant","message":{"id":"msg_2","content":[{"type":"thinking","thinking":"Hm","signature":"x"}]}}
            {"type":"assistant","message":{"id":"msg_2","content":[{"type":"text","text":"Yes"}]}}
            {"type":"assistant","message":{"id":"msg_2","content":[{"type":"tool_use","id":"t","name":"Bash","input":{"a":1}}]}}
            {"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"one"},{"type":"image","source":{"media_type":"image/png","data":"AA"}}]}]}}
            """
        #expect(
            chunks(lines) == [
                .reasoningStart(id: "reasoning-m-1"), .reasoningDelta(id: "reasoning-m-1", delta: "Hm"),
                .reasoningEnd(id: "reasoning-m-1"),
                .textStart(id: "text-m-2"), .textDelta(id: "text-m-2", delta: "Yes"), .textEnd(id: "text-m-2"),
                .toolInputStart(toolCallId: "t", toolName: "Bash"),
                .toolInputAvailable(toolCallId: "t", toolName: "Bash", input: ["a": .number(1)]),
                .toolOutputAvailable(toolCallId: "t", output: "one\n[image/png]"),
            ]
        )
    }

    @Test func `blocks of several messages have ids of their own`() {
        let message = [
            event(#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
            event(#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#),
            event(#"{"type":"content_block_stop","index":0}"#),
        ]
        let other = Self.start.replacing("msg_1", with: "msg_2")
        let all = chunks(([Self.start] + message + [other] + message).joined(separator: "\n"))
        let starts = all.filter { if case .textStart = $0 { true } else { false } }
        #expect(starts == [.textStart(id: "text-m-1"), .textStart(id: "text-m-2")])
    }

    @Test func `a tool's input comes in pieces and then as a whole`() {
        let lines = [
            Self.start,
            event(
                #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"Write","input":{}}}"#
            ),
            event(
                #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}"#
            ),
            event(
                #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":true}"}}"#
            ),
            #"{"type":"assistant","message":{"id":"msg_1","content":[{"type":"tool_use","id":"t","name":"Write","input":{"a":true}}]}}"#,
            event(#"{"type":"content_block_stop","index":1}"#),
            #"{"message":{"content":[{"content":"<tool_use_error>no</tool_use_error>","is_error":true,"tool_use_id":"t","type":"tool_result"}]},"type":"user"}"#,
        ]
        #expect(
            chunks(lines.joined(separator: "\n")) == [
                .toolInputStart(toolCallId: "t", toolName: "Write"),
                .toolInputDelta(toolCallId: "t", inputTextDelta: #"{"a""#),
                .toolInputDelta(toolCallId: "t", inputTextDelta: ":true}"),
                .toolInputAvailable(toolCallId: "t", toolName: "Write", input: ["a": true]),
                .toolOutputError(toolCallId: "t", errorText: "no"),
            ]
        )
    }

    @Test func `a message that is asked for again closes what it left open`() {
        let tool = event(
            #"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"Write","input":{}}}"#
        )
        let text = event(#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#)
        let again = Self.start.replacing("msg_1", with: "msg_2")
        #expect(
            chunks([Self.start, tool, again, text, again].joined(separator: "\n")) == [
                .toolInputStart(toolCallId: "t", toolName: "Write"),
                .toolOutputError(toolCallId: "t", errorText: "The call was cut off"),
                .textStart(id: "text-m-1"), .textDelta(id: "text-m-1", delta: "a"), .textEnd(id: "text-m-1"),
            ]
        )
    }

    @Test func `what a command of the program answers is shown`() {
        let result = #"{"type":"result","subtype":"success","is_error":false,"result":"Cost: 0"}"#
        #expect(
            chunks(result) == [
                .textStart(id: "text-m-1"), .textDelta(id: "text-m-1", delta: "Cost: 0"), .textEnd(id: "text-m-1"),
            ]
        )
    }

    @Test(
        arguments: [
            "", "{", "[]", "null", #"{"type":1}"#, #"{"type":"new_kind","event":{}}"#, "plain words",
            #"{"type":"stream_event"}"#, #"{"type":"stream_event","event":{"type":"new"}}"#,
            #"{"type":"assistant","message":{"content":7}}"#, #"{"type":"system","subtype":"new"}"#,
            #"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"unknown","content":"x"}]}}"#,
            #"{"type":"assistant","is_api_error_message":true,"message":{"content":[{"type":"text","text":"Not logged in"}]}}"#,
        ]
    )
    func `a line that says nothing is passed over`(line: String) {
        #expect(chunks(line).isEmpty)
    }

    @Test func `a line with bytes that are not UTF-8 is read`() {
        let line =
            Array(#"{"type":"result","is_error":false,"result":"a"#.utf8) + [0xFF, 0xC3] + Array(#"b"}"#.utf8)
        guard case .result(let result) = ClaudeCodeLine(line) else {
            Issue.record("the line is not a result")
            return
        }
        #expect(result.text == "a\u{FFFD}\u{FFFD}b")
    }

    @Test func `requests of other kinds are known as such`() {
        let line = #"{"type":"control_request","request_id":"r","request":{"subtype":"hook_callback"}}"#
        #expect(ClaudeCodeLine(Array(line.utf8)) == .unknownRequest(id: "r"))
    }

    @Test(
        arguments: [
            (401, "refused the API key"), (403, "refused access"), (429, "rate limit"), (529, "failed (HTTP 529)"),
        ]
    )
    func `a failed request is told by its status, without secrets`(status: Int, words: String) {
        let failure = ClaudeCodeFailure(environment: ["ANTHROPIC_API_KEY": "sk-ant-secret", "HOME": "/home/agent"])
        let result = ClaudeCodeResult(isError: true, text: "no sk-ant-secret in /home/agent", status: status)
        let message = failure.error(result)?.message ?? ""
        #expect(message.contains(words))
        #expect(!message.contains("sk-ant-secret"))
    }
}
