// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Tar archives as far as engines exchange them here: directories and texts that are made, and the one file that is read.
enum DockerTar {
    private static let block = 512

    /// A directory, or a file where there is a text.
    struct Entry {
        let path: String
        let mode: Int
        let owner: DockerUser
        var text: String?
    }

    static func archive(_ entries: [Entry]) -> ByteBuffer {
        var archive = ByteBuffer()
        for entry in entries {
            archive.writeBytes(head(entry))
            guard let text = entry.text else { continue }
            archive.writeString(text)
            archive.writeRepeatingByte(0, count: (block - text.utf8.count % block) % block)
        }
        archive.writeRepeatingByte(0, count: 2 * block)
        return archive
    }

    private static func head(_ entry: Entry) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: block)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { head[offset + index] = byte }
        }
        put(entry.path + (entry.text == nil ? "/" : ""), at: 0)
        put(octal(entry.mode, 7), at: 100)
        head.replaceSubrange(108..<116, with: number(entry.owner.uid))
        head.replaceSubrange(116..<124, with: number(entry.owner.gid))
        put(octal(entry.text?.utf8.count ?? 0, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        put(entry.text == nil ? "5" : "0", at: 156)
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

    static let root = DockerUser(uid: 0, gid: 0)

    var description: String { "\(uid):\(gid)" }
}
