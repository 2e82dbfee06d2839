// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials

/// The stored chunks of a turn, folded.
struct Answer {
    private static let decoder = JSONDecoder()
    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return encoder
    }()

    let turn: Turn
    private(set) var chunkCount = 0
    private var sequence: ChunkSequence
    /// The one that ended the answer.
    private(set) var terminal: Chunk?
    private var builder: MessageBuilder

    init(of turn: Turn) {
        self.turn = turn
        sequence = ChunkSequence(messageID: "msg-\(turn.id)")
        builder = MessageBuilder(id: "msg-\(turn.id)", createdAt: .now)
    }

    var message: UIMessage { builder.message }

    /// Chunks of a kind that this version does not know are passed on to clients, and are not part of the message.
    mutating func append(_ batch: ChunkBatch) {
        for line in batch.lines.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            chunkCount += 1
            guard let chunk = try? Self.decoder.decode(Chunk.self, from: Data(line)) else { continue }
            sequence.resume(chunk)
            builder.append(chunk)
            if chunk.isTerminal { terminal = chunk }
        }
    }

    /// The chunks that end an answer whose agent will not, and nil when it has ended.
    func ending(_ ending: ChunkSequence.Ending) throws -> ChunkBatch? {
        var sequence = sequence
        let chunks = sequence.end(ending)
        guard terminal == nil, !chunks.isEmpty else { return nil }
        let lines = try chunks.map { String(decoding: try Self.encoder.encode($0), as: UTF8.self) }
        return ChunkBatch(
            first: chunkCount + 1,
            last: chunkCount + chunks.count,
            lines: lines.joined(separator: "\n")
        )
    }
}
