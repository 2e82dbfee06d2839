// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Makes lines of what comes in pieces.
struct LineSplitter: Sendable {
    private static let maximumLine = 1 << 20

    private var pending = ByteBuffer()

    /// The lines that are complete now, without empty ones. Throws `DockerError` for one that never ends.
    mutating func read(_ chunk: ByteBuffer) throws -> [ByteBuffer] {
        var lines: [ByteBuffer] = []
        pending.writeImmutableBuffer(chunk)
        while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = end - pending.readerIndex
            if length > 0, let line = pending.getSlice(at: pending.readerIndex, length: length) { lines.append(line) }
            pending.moveReaderIndex(forwardBy: length + 1)
        }
        guard pending.readableBytes <= Self.maximumLine else {
            throw DockerError(.invalidAnswer, "the Docker Engine's answer is too large")
        }
        pending.discardReadBytes()
        return lines
    }

    /// What came after the last end of a line.
    var rest: ByteBuffer? {
        pending.readableBytes > 0 ? pending : nil
    }
}
