// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Tar archives as far as engines exchange them here: directories that are made, and the one file that is read.
enum DockerTar {
    private static let block = 512

    /// Empty directories with an owner.
    static func directories(_ paths: [String], owner: DockerUser) -> ByteBuffer {
        var archive = ByteBuffer()
        for path in paths { archive.writeBytes(head(path + "/", owner)) }
        archive.writeRepeatingByte(0, count: 2 * block)
        return archive
    }

    private static func head(_ name: String, _ owner: DockerUser) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: block)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { head[offset + index] = byte }
        }
        put(name, at: 0)
        put("0000700", at: 100)
        head.replaceSubrange(108..<116, with: number(owner.uid))
        head.replaceSubrange(116..<124, with: number(owner.gid))
        put(octal(0, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        put("5", at: 156)
        put("ustar\u{0}00", at: 257)
        let sum = head.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6) + "\u{0}", at: 148)
        return head
    }

    /// A field of 8 bytes: in octal where that has room, else in binary behind a mark, as directory services give out large
    /// ids.
    private static func number(_ number: Int) -> [UInt8] {
        guard number >= 1 << 21 else { return Array(octal(number, 7).utf8) + [0] }
        var field = [UInt8](repeating: 0, count: 8)
        for index in 1..<8 { field[index] = UInt8(truncatingIfNeeded: number >> (8 * (7 - index))) }
        field[0] = 0x80
        return field
    }

    private static func octal(_ number: Int, _ digits: Int) -> String {
        let text = String(number, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// The text of the first file; nil when there is none.
    static func firstFile(_ archive: ByteBuffer) -> String? {
        var archive = archive
        while let head = archive.readBytes(length: block) {
            let field = head[124..<136].prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
            guard let size = Int(String(decoding: field, as: UTF8.self), radix: 8) else { return nil }
            if head[156] == UInt8(ascii: "0") || head[156] == 0 { return archive.readString(length: size) }
            let padded = (size + block - 1) / block * block
            guard archive.readableBytes >= padded else { return nil }
            archive.moveReaderIndex(forwardBy: padded)
        }
        return nil
    }
}

/// Who a sandbox's processes are.
struct DockerUser: Sendable, Equatable, CustomStringConvertible {
    let uid: Int
    let gid: Int

    var description: String { "\(uid):\(gid)" }
}
