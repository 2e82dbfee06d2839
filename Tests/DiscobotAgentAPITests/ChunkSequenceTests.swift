// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

@testable import DiscobotAgentAPI

struct ChunkSequenceTests {
    private func answer(_ chunks: [Chunk], _ ending: ChunkSequence.Ending = .finished) -> [Chunk] {
        var sequence = ChunkSequence(messageID: "m")
        return chunks.flatMap { sequence.append($0) } + sequence.end(ending)
    }

    @Test
    func `an answer without content starts and finishes`() {
        #expect(answer([]) == [.start(messageId: "m"), .finish])
    }

    @Test
    func `begin and end are not the driver's`() {
        let sent: [Chunk] = [.finish, .start(messageId: "x"), .error(errorText: "e"), .abort(reason: nil)]
        #expect(answer(sent) == [.start(messageId: "m"), .finish])
    }

    @Test
    func `nothing follows the end`() {
        var sequence = ChunkSequence(messageID: "m")
        _ = sequence.end(.aborted(reason: "r"))
        #expect(sequence.append(.textDelta(id: "t", delta: "x")).isEmpty)
        #expect(sequence.end(.finished).isEmpty)
    }

    @Test
    func `a part ends when other content arrives, and goes on under another id`() {
        let sent: [Chunk] = [
            .textStart(id: "t"), .textDelta(id: "t", delta: "a"), .reasoningDelta(id: "r", delta: "b"),
            .textDelta(id: "t", delta: "c"), .textEnd(id: "t"), .textEnd(id: "t"),
        ]
        let expected: [Chunk] = [
            .start(messageId: "m"), .textStart(id: "t"), .textDelta(id: "t", delta: "a"), .textEnd(id: "t"),
            .reasoningStart(id: "r"), .reasoningDelta(id: "r", delta: "b"), .reasoningEnd(id: "r"),
            .textStart(id: "t-2"), .textDelta(id: "t-2", delta: "c"), .textEnd(id: "t-2"), .finish,
        ]
        #expect(answer(sent) == expected)
    }

    @Test
    func `text streams while a tool is open`() {
        let sent: [Chunk] = [
            .toolInputStart(toolCallId: "b", toolName: "bash"),
            .toolInputAvailable(toolCallId: "b", toolName: "bash", input: ["command": "x"]),
            .textStart(id: "t"), .textDelta(id: "t", delta: "a"), .textEnd(id: "t"),
            .toolOutputAvailable(toolCallId: "b", output: ["exitCode": .number(0)]),
        ]
        #expect(answer(sent) == [.start(messageId: "m")] + sent + [.finish])
    }

    @Test
    func `a tool has its input before its output`() {
        let sent: [Chunk] = [
            .toolInputStart(toolCallId: "a", toolName: "bash"), .toolOutputAvailable(toolCallId: "a", output: "x"),
            .toolOutputAvailable(toolCallId: "a", output: "again"),
            .toolOutputError(toolCallId: "none", errorText: "e"),
        ]
        let expected: [Chunk] = [
            .start(messageId: "m"), .toolInputStart(toolCallId: "a", toolName: "bash"),
            .toolInputAvailable(toolCallId: "a", toolName: "bash", input: [:]),
            .toolOutputAvailable(toolCallId: "a", output: "x"), .finish,
        ]
        #expect(answer(sent) == expected)
    }

    @Test
    func `what is open is closed before the end`() {
        let sent: [Chunk] = [
            .toolInputStart(toolCallId: "a", toolName: "one"),
            .toolInputAvailable(toolCallId: "b", toolName: "two", input: [:]), .reasoningStart(id: "r"),
        ]
        let expected: [Chunk] =
            [.start(messageId: "m")] + sent + [
                .reasoningEnd(id: "r"), .toolInputAvailable(toolCallId: "a", toolName: "one", input: [:]),
                .toolOutputError(toolCallId: "a", errorText: "the agent has ended before the tool"),
                .toolOutputError(toolCallId: "b", errorText: "the agent has ended before the tool"),
                .error(errorText: "broken"),
            ]
        #expect(answer(sent, .failed(message: "broken")) == expected)
    }

    @Test
    func `a tool whose id is used again gets another`() {
        let call: [Chunk] = [
            .toolInputAvailable(toolCallId: "a", toolName: "t", input: [:]),
            .toolOutputAvailable(toolCallId: "a", output: nil),
        ]
        let second: [Chunk] = [
            .toolInputAvailable(toolCallId: "a-2", toolName: "t", input: [:]),
            .toolOutputAvailable(toolCallId: "a-2", output: nil),
        ]
        #expect(answer(call + call) == [.start(messageId: "m")] + call + second + [.finish])
    }

    @Test
    func `large deltas are split between characters`() {
        let text = String(repeating: "aé😀", count: 40_000)
        let deltas = answer([.textDelta(id: "t", delta: text)]).compactMap { chunk in
            if case .textDelta(_, let delta) = chunk { delta } else { nil }
        }
        #expect(deltas.joined() == text)
        #expect(deltas.count == 5)
        #expect(deltas.allSatisfy { $0.utf8.count <= ChunkLimits.text && !$0.contains("\u{FFFD}") })
    }

    @Test
    func `large inputs and outputs are cut`() {
        let huge = JSONValue.object([("a", .string(String(repeating: "x", count: 3 << 20))), ("b", "rest")])
        let cut = huge.bounded(ChunkLimits.value)
        #expect(cut["a"]?.text?.hasSuffix(ChunkLimits.cutMark) == true)
        #expect(cut["a"]?.text?.utf8.count ?? 0 < ChunkLimits.value + 16)
        #expect(cut["b"] == nil)
    }

    @Test
    func `an answer that was begun before can be ended`() {
        let begun: [Chunk] = [
            .start(messageId: "m"), .toolInputAvailable(toolCallId: "a", toolName: "t", input: [:]),
            .textStart(id: "t-2"), .textDelta(id: "t-2", delta: "x"),
        ]
        var sequence = ChunkSequence(messageID: "m")
        for chunk in begun { sequence.resume(chunk) }
        let expected: [Chunk] = [
            .textEnd(id: "t-2"), .toolOutputError(toolCallId: "a", errorText: "the agent has ended before the tool"),
            .error(errorText: "gone"),
        ]
        #expect(sequence.end(.failed(message: "gone")) == expected)
    }
}
