// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOCore

/// Cuts the bytes of an agent's event stream into chunks.
struct AgentFrames {
    /// Whether the agent has said that nothing follows.
    private(set) var isDone = false
    /// A single frame above this is no chunk.
    private static let maximumFrame = 8 << 20
    /// Whoever controls the sandbox could go on for ever.
    private static let maximumAnswer = 512 << 20
    /// The number of the last chunk that was handed out.
    private var last: Int
    private var line: [UInt8] = []
    private var size = 0
    private var frameNumber: Int?

    init(after sequence: Int) {
        last = sequence
    }

    /// The chunks that `bytes` complete; nil for none.
    mutating func read(_ bytes: ByteBufferView) throws -> ChunkBatch? {
        var lines: [UInt8] = []
        let before = last
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            if line.isEmpty {
                try take(rest[..<end], into: &lines, isFirst: last == before)
            } else {
                line.append(contentsOf: rest[..<end])
                let whole = line
                line = []
                try take(whole, into: &lines, isFirst: last == before)
            }
            rest = rest[(end + 1)...]
        }
        line.append(contentsOf: rest)
        guard line.count <= Self.maximumFrame else {
            throw AgentError(.invalidAnswer, "the sandbox's agent sent a chunk that is too large")
        }
        size += bytes.count
        guard size <= Self.maximumAnswer else {
            throw AgentError(.invalidAnswer, "the sandbox's agent answers without end")
        }
        guard last > before else { return nil }
        return ChunkBatch(first: before + 1, last: last, lines: String(decoding: lines, as: UTF8.self))
    }

    private mutating func take(
        _ line: some BidirectionalCollection<UInt8>,
        into lines: inout [UInt8],
        isFirst: Bool
    ) throws {
        if line.starts(with: Self.idField) {
            let text = String(decoding: line.dropFirst(Self.idField.count), as: UTF8.self)
            frameNumber = text.lastIndex(of: ":").flatMap { Int(text[text.index(after: $0)...]) }
        } else if line.starts(with: Self.dataField) {
            let data = line.dropFirst(Self.dataField.count)
            if data.elementsEqual(Self.done) {
                isDone = true
            } else if let number = frameNumber, number > last {
                guard number == last + 1 else {
                    throw AgentError(.invalidAnswer, "the sandbox's agent left out chunks")
                }
                // A carriage return would begin a field of its own for those who read the stream.
                guard !data.contains(where: { $0 < 0x20 }) else {
                    throw AgentError(.invalidAnswer, "the sandbox's agent sent a chunk with control characters")
                }
                if !isFirst { lines.append(UInt8(ascii: "\n")) }
                lines.append(contentsOf: data)
                last = number
            }
            frameNumber = nil
        }
    }

    private static let idField = Array("id: ".utf8)
    private static let dataField = Array("data: ".utf8)
    private static let done = Array("[DONE]".utf8)
}
