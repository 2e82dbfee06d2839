// SPDX-License-Identifier: Apache-2.0

/// Finds what a user means by some letters: they must all be there in their order, whatever their case, and count more
/// where words begin and where they stand together.
struct FuzzyPattern: Sendable {
    /// One for each word of what the user typed; all must be found.
    private let terms: [[UInt8]]
    /// Which letters must be there at all.
    let mask: UInt64

    /// Longer ones are cut.
    static let limit = 256

    init(_ text: String) {
        let bytes = text.utf8.prefix(Self.limit).map(Self.lowercased)
        terms = bytes.split(separator: UInt8(ascii: " ")).map(Array.init)
        mask = terms.reduce(0) { $1.reduce($0) { $0 | Self.bit($1) } }
    }

    var isEmpty: Bool { terms.isEmpty }

    /// The place of a letter in masks; that of others is shared.
    static func bit(_ byte: UInt8) -> UInt64 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): 1 << UInt64(byte - UInt8(ascii: "a"))
        case UInt8(ascii: "0")...UInt8(ascii: "9"): 1 << UInt64(26 + byte - UInt8(ascii: "0"))
        default: 1 << UInt64(36 + byte % 28)
        }
    }

    static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// How well a path fits, higher is better; nil when it does not.
    func score(_ path: Span<UInt8>) -> Int? {
        var total = 0
        let name = Self.nameStart(path)
        for term in terms {
            // In the name if possible, which is what most people type.
            let inName = Self.score(term, path, from: name).map { $0 + Self.nameBonus }
            guard let score = inName ?? Self.score(term, path, from: 0) else { return nil }
            total += score
        }
        // Of equal ones the shorter path is meant.
        return max(total - path.count / 8, 1)
    }

    private static let matchScore = 16
    private static let boundaryBonus = 10
    private static let togetherBonus = 12
    private static let nameBonus = 20
    private static let gapPenalty = 1

    private static func nameStart(_ path: Span<UInt8>) -> Int {
        var start = path.count
        while start > 0, path[start - 1] != UInt8(ascii: "/") { start -= 1 }
        return start
    }

    /// Takes the first end at which all letters have been there, and from there back the last begin.
    private static func score(_ term: [UInt8], _ path: Span<UInt8>, from start: Int) -> Int? {
        var next = 0
        var end = start
        while end < path.count, next < term.count {
            if lowercased(path[end]) == term[next] { next += 1 }
            end += 1
        }
        guard next == term.count else { return nil }
        var begin = end
        while next > 0 {
            begin -= 1
            if lowercased(path[begin]) == term[next - 1] { next -= 1 }
        }
        return score(term, path, begin: begin, end: end)
    }

    private static func score(_ term: [UInt8], _ path: Span<UInt8>, begin: Int, end: Int) -> Int {
        var score = 0
        var next = 0
        var isTogether = false
        for index in begin..<end {
            guard next < term.count, lowercased(path[index]) == term[next] else {
                score -= gapPenalty
                isTogether = false
                continue
            }
            score += matchScore + (isBoundary(path, index) ? boundaryBonus : 0) + (isTogether ? togetherBonus : 0)
            isTogether = true
            next += 1
        }
        return score
    }

    /// Where a word begins: behind a separator, or at a capital letter.
    private static func isBoundary(_ path: Span<UInt8>, _ index: Int) -> Bool {
        guard index > 0 else { return true }
        let (before, byte) = (path[index - 1], path[index])
        let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        let isSmallBefore = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(before)
        return isSeparator(before) || isCapital && isSmallBefore
    }

    /// Asked of millions of bytes, so not by a string's `contains`.
    private static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: " "): true
        default: false
        }
    }
}
