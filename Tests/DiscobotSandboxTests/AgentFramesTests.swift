// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOCore
import Testing

@testable import DiscobotSandbox

/// How an agent's stream is cut into chunks, wherever the network cuts it.
struct AgentFramesTests {
    private static func frame(_ number: Int) -> String { "id: turn:\(number)\ndata: {\"n\":\(number)}\n\n" }

    private static func read(_ text: String, piece: Int, after sequence: Int = 0) throws -> (AgentFrames, [ChunkBatch])
    {
        var frames = AgentFrames(after: sequence)
        var batches: [ChunkBatch] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            let buffer = ByteBuffer(bytes: bytes[start..<min(start + piece, bytes.count)])
            if let batch = try frames.read(buffer.readableBytesView) { batches.append(batch) }
        }
        return (frames, batches)
    }

    @Test(arguments: [1, 2, 3, 7, 16, 1000])
    func `gives each chunk once, in order`(piece: Int) throws {
        let text = (1...20).map(Self.frame).joined() + ":\n\ndata: [DONE]\n\n"
        let (frames, batches) = try Self.read(text, piece: piece)
        #expect(frames.isDone)
        #expect(batches.first?.first == 1)
        #expect(batches.last?.last == 20)
        for (earlier, later) in zip(batches, batches.dropFirst()) { #expect(later.first == earlier.last + 1) }
        let lines = batches.map(\.lines).joined(separator: "\n").split(separator: "\n")
        #expect(lines == (1...20).map { "{\"n\":\($0)}" })
    }

    @Test
    func `passes over what is known`() throws {
        let (_, batches) = try Self.read((1...5).map(Self.frame).joined(), piece: 1000, after: 3)
        #expect(batches == [ChunkBatch(first: 4, last: 5, lines: "{\"n\":4}\n{\"n\":5}")])
        #expect(try Self.read(Self.frame(3), piece: 1000, after: 3).1.isEmpty)
    }

    @Test
    func `refuses a stream that leaves chunks out`() {
        #expect(throws: AgentError.self) { try Self.read(Self.frame(1) + Self.frame(3), piece: 1000) }
    }

    @Test
    func `passes over comments and frames without a number`() throws {
        let text = ":\n\ndata: {\"type\":\"ping\"}\n\n" + Self.frame(1)
        #expect(try Self.read(text, piece: 5).1.map(\.lines) == ["{\"n\":1}"])
    }

    @Test
    func `refuses what readers of the stream could take for fields of their own`() {
        #expect(throws: AgentError.self) {
            try Self.read("id: turn:1\ndata: {}\rid: turn:9\ndata: x\n\n", piece: 1000)
        }
    }
}
