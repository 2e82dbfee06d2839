// SPDX-License-Identifier: Apache-2.0

/// A pattern for paths: `*` and `?` within a name, `**` over directories, `[a-z]`, and `{a,b}`. One without a slash is
/// about the name alone, in any directory.
struct Glob: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case byte(UInt8)
        case any
        case set([ClosedRange<UInt8>], isNegated: Bool)
        case star
        case doubleStar
    }

    private let alternatives: [[Part]]
    private let isAboutName: Bool

    private static let lengthLimit = 1024
    private static let alternativeLimit = 64

    /// Nil for a pattern that is empty, too long, or has too many alternatives.
    init?(_ pattern: String) {
        let bytes = Array(pattern.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.lengthLimit, let expanded = Self.expand(bytes) else { return nil }
        isAboutName = !bytes.contains(UInt8(ascii: "/"))
        alternatives = expanded.map { Self.parse($0.starts(with: "./".utf8) ? $0.dropFirst(2) : $0[...]) }
    }

    func matches(_ path: String) -> Bool {
        let bytes = Array(path.utf8)
        let text = isAboutName ? bytes[((bytes.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...] : bytes[...]
        return alternatives.contains { Self.matches(Array(text), $0) }
    }

    /// Writes the alternatives of all braces out.
    private static func expand(_ pattern: [UInt8]) -> [[UInt8]]? {
        var done: [[UInt8]] = []
        var open = [pattern]
        while let next = open.popLast() {
            guard let start = next.firstIndex(of: UInt8(ascii: "{")),
                let end = next[start...].firstIndex(of: UInt8(ascii: "}"))
            else {
                done.append(next)
                guard done.count <= alternativeLimit else { return nil }
                continue
            }
            let choices = next[(start + 1)..<end].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            open += choices.map { Array(next[..<start] + $0 + next[(end + 1)...]) }
            guard open.count <= alternativeLimit else { return nil }
        }
        return done
    }

    private static func parse(_ pattern: ArraySlice<UInt8>) -> [Part] {
        var parts: [Part] = []
        var rest = pattern
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*") where rest.first == byte:
                rest = rest.drop { $0 == byte }
                // `**/` is any number of directories, also none; within a name two stars are one.
                parts.append(rest.isEmpty || rest.first == UInt8(ascii: "/") ? .doubleStar : .star)
                if rest.first == UInt8(ascii: "/") { rest.removeFirst() }
            case UInt8(ascii: "*"): parts.append(.star)
            case UInt8(ascii: "?"): parts.append(.any)
            case UInt8(ascii: "["):
                guard let set = set(&rest) else { fallthrough }
                parts.append(set)
            case UInt8(ascii: "\\") where rest.first != nil: parts.append(.byte(rest.removeFirst()))
            default: parts.append(.byte(byte))
            }
        }
        return parts
    }

    /// What follows a `[`; nil when nothing closes it.
    private static func set(_ rest: inout ArraySlice<UInt8>) -> Part? {
        guard let end = rest.dropFirst().firstIndex(of: UInt8(ascii: "]")) else { return nil }
        var inside = rest[rest.startIndex..<end]
        rest = rest[(end + 1)...]
        let isNegated = inside.first == UInt8(ascii: "!") || inside.first == UInt8(ascii: "^")
        if isNegated { inside.removeFirst() }
        var ranges: [ClosedRange<UInt8>] = []
        while let first = inside.popFirst() {
            if inside.count >= 2, inside.first == UInt8(ascii: "-") {
                inside.removeFirst()
                let last = inside.removeFirst()
                if first <= last { ranges.append(first...last) }
            } else {
                ranges.append(first...first)
            }
        }
        return .set(ranges, isNegated: isNegated)
    }

    /// Walks through the text once, with all places of the pattern that it may be at: no pattern makes this slow.
    private static func matches(_ text: [UInt8], _ parts: [Part]) -> Bool {
        var places = closure([0], parts, isAtStart: true)
        for index in text.indices {
            var next: Set<Int> = []
            for place in places where place < parts.count { step(parts[place], text[index], place, &next) }
            guard !next.isEmpty else { return false }
            places = closure(next, parts, isAtStart: text[index] == UInt8(ascii: "/"))
        }
        return places.contains(parts.count)
    }

    private static func step(_ part: Part, _ byte: UInt8, _ place: Int, _ next: inout Set<Int>) {
        let isSlash = byte == UInt8(ascii: "/")
        switch part {
        case .byte(let wanted): if wanted == byte { next.insert(place + 1) }
        case .any: if !isSlash { next.insert(place + 1) }
        case .set(let ranges, let isNegated):
            if !isSlash, ranges.contains(where: { $0.contains(byte) }) != isNegated { next.insert(place + 1) }
        case .star: if !isSlash { next.insert(place) }
        case .doubleStar: next.insert(place)
        }
    }

    /// Stars may stand for nothing.
    private static func closure(_ places: Set<Int>, _ parts: [Part], isAtStart: Bool) -> Set<Int> {
        var all = places
        for place in places.sorted() {
            var next = place
            while next < parts.count,
                parts[next] == .star || (parts[next] == .doubleStar && canEnd(next, parts, isAtStart))
            {
                next += 1
                all.insert(next)
            }
        }
        return all
    }

    /// `**` in front of more ends where a name begins.
    private static func canEnd(_ place: Int, _ parts: [Part], _ isAtStart: Bool) -> Bool {
        place == parts.count - 1 || isAtStart
    }
}
