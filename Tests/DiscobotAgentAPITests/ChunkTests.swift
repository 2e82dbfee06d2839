// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Foundation
import Testing

struct ChunkTests {
    static let chunks: [Chunk] = [
        .start(messageId: "m"), .textStart(id: "t"), .textDelta(id: "t", delta: "hello\n\u{1F600}"), .textEnd(id: "t"),
        .reasoningStart(id: "r"), .reasoningDelta(id: "r", delta: ""), .reasoningEnd(id: "r"),
        .toolInputStart(toolCallId: "c", toolName: "bash", title: "Run"),
        .toolInputDelta(toolCallId: "c", inputTextDelta: #"{"comm"#),
        .toolInputAvailable(toolCallId: "c", toolName: "bash", input: ["command": "ls"], title: nil),
        .toolOutputAvailable(toolCallId: "c", output: ["exitCode": .number(0)]),
        .toolOutputError(toolCallId: "c", errorText: "no"), .finish, .abort(reason: nil), .error(errorText: "gone"),
    ]

    @Test(arguments: chunks)
    func survivesEncoding(_ chunk: Chunk) throws {
        #expect(try JSONDecoder().decode(Chunk.self, from: JSONEncoder().encode(chunk)) == chunk)
    }

    @Test(arguments: [
        ("a:1", ChunkID(completion: "a", sequence: 1)), ("a:b:0", ChunkID(completion: "a:b", sequence: 0)),
    ])
    func idsAreRead(_ text: String, _ id: ChunkID) {
        #expect(ChunkID(text) == id)
        #expect(id.description == text)
    }

    @Test(arguments: ["", ":", ":1", "a", "a:", "a:-1", "a:x"])
    func otherTextsAreNoIDs(_ text: String) {
        #expect(ChunkID(text) == nil)
    }

    @Test
    func foldsIntoAMessage() throws {
        var builder = MessageBuilder(id: "x", createdAt: .now)
        for chunk in Self.chunks { builder.append(chunk) }
        #expect(builder.message.id == "m")
        #expect(builder.message.parts.count == 3)
        #expect(builder.message.parts[0] == .text("hello\n\u{1F600}"))
        guard case .dynamicTool(let tool) = builder.message.parts[2] else { Issue.record("no tool"); return }
        #expect(tool.state == .outputError)
        #expect(tool.input == ["command": "ls"])
    }
}

struct AgentSecretTests {
    @Test
    func onlyTheSecretItselfIsValid() {
        let secret = AgentSecret.random()
        let verifier = secret.verifier()
        #expect(secret.value.count == 64)
        #expect(AgentSecret.isValid(secret.value, for: verifier))
        #expect(!AgentSecret.isValid(AgentSecret.random().value, for: verifier))
        #expect(!AgentSecret.isValid("", for: verifier))
        #expect(!AgentSecret.isValid(secret.value, for: "not a verifier"))
        #expect(verifier == secret.verifier())
        #expect(verifier.prefix(32) != AgentSecret.random().verifier().prefix(32))
    }
}
