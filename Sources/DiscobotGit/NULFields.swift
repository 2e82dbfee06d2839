// SPDX-License-Identifier: Apache-2.0

/// The fields of git's `-z` formats, each ended by a NUL. Bytes are cut before they become text: in text, a byte of
/// the format could be part of a character of a file name.
struct NULFields: IteratorProtocol, Sequence {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    mutating func next() -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(of: 0) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return rest[..<end]
    }
}

extension ArraySlice<UInt8> {
    /// What is not UTF-8 becomes U+FFFD.
    var text: String { String(decoding: self, as: UTF8.self) }
}
