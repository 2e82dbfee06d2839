// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Testing

@testable import DiscobotServices

/// What becomes of the chunks of an answer.
struct AnswerTests {
    private static let turn = Turn(id: "t", sessionID: "s", messageID: "m", options: .init(), createdAt: .now)

    private static func answer(_ chunks: [Chunk]) throws -> Answer {
        var answer = Answer(of: turn)
        let lines = try chunks.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }
        answer.append(ChunkBatch(first: 1, last: chunks.count, lines: lines.joined(separator: "\n")))
        return answer
    }

    private static func chunks(_ batch: ChunkBatch?) throws -> [Chunk] {
        try (batch?.lines ?? "").split(separator: "\n").map {
            try JSONDecoder().decode(Chunk.self, from: Data($0.utf8))
        }
    }

    @Test
    func `needs no other end than its own`() throws {
        let answer = try Self.answer([.start(messageId: "a"), .textStart(id: "1"), .textEnd(id: "1"), .finish])
        #expect(answer.terminal == .finish)
        #expect(try answer.ending(.failed(message: "lost")) == nil)
    }

    @Test
    func `is closed in order where its agent is lost`() throws {
        let answer = try Self.answer([
            .start(messageId: "a"), .toolInputStart(toolCallId: "c", toolName: "bash"), .textStart(id: "1"),
            .textDelta(id: "1", delta: "half a wo"),
        ])
        let ending = try answer.ending(.failed(message: "lost"))
        #expect(ending?.first == 5)
        #expect(ending?.last == 8)
        #expect(
            try Self.chunks(ending) == [
                .textEnd(id: "1"), .toolInputAvailable(toolCallId: "c", toolName: "bash", input: [:]),
                .toolOutputError(toolCallId: "c", errorText: "the agent has ended before the tool"),
                .error(errorText: "lost"),
            ]
        )
        #expect(answer.message.text == "half a wo")
    }

    @Test
    func `begins before it ends`() throws {
        let ending = try Answer(of: Self.turn).ending(.aborted(reason: "stop"))
        #expect(try Self.chunks(ending) == [.start(messageId: "msg-t"), .abort(reason: "stop")])
    }

    @Test
    func `passes over chunks of kinds that are not known`() throws {
        var answer = Answer(of: Self.turn)
        answer.append(ChunkBatch(first: 1, last: 2, lines: #"{"type":"data-new"}"# + "\n" + #"{"type":"finish"}"#))
        #expect(answer.chunkCount == 2)
        #expect(answer.terminal == .finish)
    }
}
