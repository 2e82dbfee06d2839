// SPDX-License-Identifier: Apache-2.0

/// Makes text of bytes that come in pieces; what is not UTF-8 becomes U+FFFD.
package struct UTF8Stream: Sendable {
    /// The beginning of a character whose end has not come yet.
    private var partial: [UInt8] = []

    package init() {}

    package mutating func decode(_ bytes: some Collection<UInt8>) -> String {
        var all = partial + bytes
        let incomplete = Self.incompleteEnd(of: all)
        partial = Array(all.suffix(incomplete))
        all.removeLast(incomplete)
        return String(decoding: all, as: UTF8.self)
    }

    /// What is left when nothing follows.
    package mutating func finish() -> String {
        defer { partial = [] }
        return String(decoding: partial, as: UTF8.self)
    }

    /// How many bytes at the end begin a character that could still be completed.
    private static func incompleteEnd(of bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return needed > length && byte < 0xF8 ? length : 0
        }
        return 0
    }
}
