// SPDX-License-Identifier: Apache-2.0

/// What was typed and the program in the terminal has not read yet.
struct TerminalInputQueue {
    enum Result {
        case taken, full
        /// The program has read nothing for so long that all of it is forgotten.
        case dropped
    }

    struct Chunk {
        let bytes: ArraySlice<UInt8>
        /// The key that stops the program, before which nothing that is unread counts.
        let stop: UInt8?
    }

    private static let limit = 1 << 20
    private static let chunk = 4 << 10
    private static let patience: Duration = .seconds(5)
    /// Ctrl-C, Ctrl-\\ and Ctrl-Z, as terminals have them.
    private static let stops: [UInt8] = [0x03, 0x1C, 0x1A]

    private var bytes: [UInt8] = []
    private var taken = 0
    private var stop: UInt8?
    /// Whether a chunk is on its way.
    private var isWriting = false
    private var lastProgress = ContinuousClock.now

    private var rest: Int { bytes.count - taken }

    /// - Parameter flush: forgets what the terminal holds when a key is one that stops the program.
    mutating func append(_ new: [UInt8], flush: (UInt8) -> Bool) -> Result {
        if rest > 0 || isWriting, let key = Self.stops.first(where: { new.contains($0) && flush($0) }) {
            // As typing it at once would have done: what came before is not read any more.
            bytes = []
            taken = 0
            stop = key
        }
        if rest == 0 {
            if !isWriting { lastProgress = .now }
        } else if rest + new.count > Self.limit {
            guard ContinuousClock.now - lastProgress > Self.patience else { return .full }
            bytes = []
            taken = 0
            return .dropped
        }
        bytes += new
        return .taken
    }

    mutating func next() -> Chunk? {
        guard rest > 0 else { return nil }
        let piece = bytes[taken...].prefix(Self.chunk)
        taken += piece.count
        if rest == 0 {
            bytes = []
            taken = 0
        }
        defer { stop = nil }
        isWriting = true
        return Chunk(bytes: piece, stop: stop)
    }

    mutating func written() {
        isWriting = false
        lastProgress = .now
    }
}
