// SPDX-License-Identifier: Apache-2.0

/// The end of what a terminal has shown. Bytes keep their numbers, counted from the first that was ever shown.
struct Scrollback {
    /// At least so much is kept.
    static let size = 320 << 10
    /// How far a cut may look for a better place.
    private static let search = 4 << 10

    private var bytes: [UInt8] = []
    /// The number of the first byte that is there.
    private(set) var start = 0
    /// The modes before the first byte that is there.
    private var firstModes = TerminalModes()

    var end: Int { start + bytes.count }

    mutating func append(_ new: some Collection<UInt8>) {
        bytes += new
        // Not at once, since moving what stays costs.
        if bytes.count > Self.size * 3 / 2 { drop(bytes.count - Self.size) }
    }

    /// At most `limit` bytes from a number on, whole characters unless what follows is missing; from the start when
    /// they are gone.
    func piece(from position: Int, limit: Int, isComplete: Bool) -> ArraySlice<UInt8> {
        let first = max(0, min(position - start, bytes.count))
        let piece = bytes[first..<min(first + limit, bytes.count)]
        if isComplete, piece.endIndex == bytes.count { return piece }
        return piece.dropLast(Self.incompleteEnd(of: piece))
    }

    /// Where whoever cannot keep up goes on: at a line near the end.
    func resumption(backlog: Int) -> Int {
        start + cut(max(0, bytes.count - backlog))
    }

    /// The modes before a byte that is there.
    func modes(before position: Int) -> TerminalModes {
        var modes = firstModes
        modes.read(bytes.prefix(max(0, position - start)))
        return modes
    }

    private mutating func drop(_ count: Int) {
        let count = cut(count)
        firstModes.read(bytes.prefix(count))
        bytes.removeFirst(count)
        start += count
    }

    /// A place at or soon after an index where a line begins, else a character.
    private func cut(_ index: Int) -> Int {
        guard index > 0 else { return 0 }
        let nearby = bytes[index..<min(index + Self.search, bytes.count)]
        if let newline = nearby.firstIndex(of: UInt8(ascii: "\n")) { return newline + 1 }
        return nearby.firstIndex { $0 & 0xC0 != 0x80 } ?? index
    }

    /// How many bytes at the end begin a character that could still be completed.
    private static func incompleteEnd(of bytes: ArraySlice<UInt8>) -> Int {
        for (length, byte) in zip(1...3, bytes.reversed()) where byte & 0xC0 != 0x80 {
            let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return needed > length && byte < 0xF8 ? length : 0
        }
        return 0
    }
}
