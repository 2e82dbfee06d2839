// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// The real Claude Code through the whole server, with a scripted model.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct ClaudeCodeChatTests {
    /// - Parameter body: gets the session's fixture and the model's API.
    private func with(
        _ body: @escaping @Sendable (ChatFixture, MockAnthropicAPI) async throws -> Void
    ) async throws {
        try await MockAnthropicAPI.with { api in
            // The API is on this machine's loopback.
            var setting = ChatFixture.Setting(agent: "claude-code", network: "host")
            let environment = try TestAgents.claudeCodeEnvironment(api, home: "/nonexistent")
            setting.environment = environment.filter { $0.key != "HOME" }
            try await ChatFixture.with(setting) { try await body($0, api) }
        }
    }

    private func expectAlternating(_ session: String, _ fixture: ChatFixture, turns: Int) async throws {
        let roles = try await fixture.messages(of: session).map { $0["role"].string }
        #expect(roles == (0..<turns).flatMap { _ in ["user", "assistant"] })
    }

    @Test
    func `an answer survives the server, and the conversation goes on in the next turn`() async throws {
        try await with { fixture, api in
            let session = fixture.newSession()
            let first = try await fixture.talk("SAY The word is sesame.", in: session)
            try await first.expectWhole()
            #expect(first.text == "The word is sesame.")

            let begun = Progress { $0.type == "text-delta" }
            async let second = fixture.talk("SAY It goes on.\nHOLD\nSAY And ends.", in: session, progress: begun)
            await begun.reach(1)
            try await fixture.restartServer()
            api.release()
            let resumed = try await second
            try await resumed.expectWhole()
            #expect(resumed.types.last == "finish")
            #expect(resumed.text == "It goes on.And ends.")
            #expect(api.calls.contains { $0.conversation.contains("sesame") && $0.conversation.contains("It goes on") })
            try await expectAlternating(session, fixture, turns: 2)

            try fixture.processes(of: session).runtime.kill()
            let third = try await fixture.talk("SAY After a new start.", in: session)
            try await third.expectWhole()
            #expect(third.text == "After a new start.")
            let last = try #require(api.calls.last { $0.conversation.contains("After a new start") })
            #expect(last.conversation.contains("sesame"))
            try await expectAlternating(session, fixture, turns: 3)
        }
    }

    @Test
    func `a question is answered over the server`() async throws {
        try await with { fixture, _ in
            let session = fixture.newSession()
            let path = "\(ChatFixture.chat)/\(session)"
            let text = #"TOOL Bash {"command":"echo made > made; cat made","description":"Make it"}"#
            let asked = Progress { $0.type == "tool-input-available" }
            async let answer = fixture.talk(text, in: session, mode: "ask", progress: asked)
            await asked.reach(1)
            var question = try await fixture.client.get("\(path)/question").json
            try await eventually {
                question = try await fixture.client.get("\(path)/question").json
                return !question["question"].isNull
            }
            #expect(question["question"]["questions"][0]["question"].string == "Allow Bash?")
            // The question outlives the server.
            try await fixture.restartServer()
            let again = try await fixture.client.get("\(path)/question").json
            #expect(again["question"] == question["question"])
            let id = try #require(question["question"]["toolUseID"].string)
            let reply = #"{"toolUseID":"\#(id)","answers":{"Allow Bash?":"Allow"}}"#
            #expect(try await fixture.client.post("\(path)/answer", reply).status == 200)
            let whole = try await answer
            try await whole.expectWhole()
            #expect(whole.chunks.first { $0.type == "tool-output-available" }?.json["output"].string == "made")
            #expect(whole.text == "Tool finished: made")
            try await expectAlternating(session, fixture, turns: 1)
        }
    }

    @Test
    func `a key that is refused reaches the user`() async throws {
        try await with { fixture, api in
            let session = fixture.newSession()
            let refused = try await fixture.talk("STATUS 401", in: session)
            try await refused.expectWhole()
            #expect(refused.error?.contains("ANTHROPIC_API_KEY") == true || refused.error?.contains("401") == true)
            let next = try await fixture.talk("SAY Better.", in: session)
            #expect(next.text == "Better.")
            try await expectAlternating(session, fixture, turns: 2)
            #expect(api.calls.allSatisfy { $0.apiKey == "sk-ant-test-0123456789" })
        }
    }
}
