// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// Reads a completion's chunks as frames of an event stream, without looking into them.
struct JournalReader {
    private static let blockSize = 256 << 10

    private let file: JournalFile
    private let descriptor: FileDescriptor
    private let prefix: [UInt8]
    /// How many lines are not for the client: the header, and the chunks that it has.
    private var skip: Int
    private var number = 0
    private var position = 0
    private var unwrittenPosition = 0
    /// The beginning of a line whose end was not read yet.
    private var partial: [UInt8] = []

    /// - Parameter sequence: the number of the last chunk that the client has.
    init(_ file: JournalFile, after sequence: Int) throws {
        self.file = file
        descriptor = try FileDescriptor.open(FilePath(file.path), .readOnly, options: .closeOnExec)
        prefix = Array("id: \(file.completion):".utf8)
        // Clients send any number.
        skip = sequence < Int.max ? sequence + 1 : sequence
    }

    func close() {
        try? descriptor.close()
    }

    /// The next frames, about a block of them; empty when the client has all there is.
    mutating func next() throws -> [UInt8] {
        let extent = file.extent
        while position < extent.bytes {
            var block = [UInt8](repeating: 0, count: min(Self.blockSize, extent.bytes - position))
            let offset = Int64(position)
            let count = try block.withUnsafeMutableBytes { try descriptor.read(fromAbsoluteOffset: offset, into: $0) }
            guard count > 0 else { throw Errno.ioError }
            position += count
            let frames = frames(block.prefix(count))
            if !frames.isEmpty { return frames }
        }
        guard unwrittenPosition < extent.unwritten.count else { return [] }
        let rest = extent.unwritten[unwrittenPosition...]
        unwrittenPosition = extent.unwritten.count
        return frames(rest)
    }

    private mutating func frames(_ block: ArraySlice<UInt8>) -> [UInt8] {
        var frames: [UInt8] = []
        var rest = block
        while let end = rest.lineEnd {
            if number >= skip {
                frames += prefix
                frames += String(number).utf8
                frames += Self.dataField
                frames += partial
                frames += rest[..<end]
                frames += Self.frameEnd
            }
            partial.removeAll()
            number += 1
            rest = rest[(end + 1)...]
        }
        if number >= skip { partial += rest }
        return frames
    }

    private static let dataField = Array("\ndata: ".utf8)
    private static let frameEnd = Array("\n\n".utf8)
}

extension ArraySlice<UInt8> {
    /// Where the first line break is.
    var lineEnd: Int? {
        withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, let found = memchr(base, 0x0A, bytes.count) else { return nil }
            return startIndex + (UnsafeRawPointer(found) - base)
        }
    }
}
