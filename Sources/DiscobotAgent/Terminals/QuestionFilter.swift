// SPDX-License-Identifier: Apache-2.0

/// Takes questions out of what is shown to those who are not to answer.
///
/// Programs ask terminals who they are, where the cursor is or which colours they have, and terminals answer as if somebody
/// typed. Whoever asked gets its answer from one viewer; another answer, or a later one, would be typed into the shell.
struct QuestionFilter {
    private enum Sequence {
        /// Its end, as an index, and whether the terminal answers it.
        case whole(end: Int, isQuestion: Bool)
        case unfinished
        /// Another use of the byte, or broken off.
        case none
    }

    /// Finds what may end a string, going through all bytes once, however many strings seem to begin.
    private struct Terminators {
        /// None is between the place that was looked from last and here.
        private var next = 0

        mutating func first(in body: ArraySlice<UInt8>) -> Int? {
            next = max(next, body.startIndex)
            while next < body.endIndex, ![escape, 0x07, 0x18, 0x1A, 0x9C].contains(body[next]) { next += 1 }
            return next < body.endIndex ? next : nil
        }
    }

    /// No longer sequence is looked at. A piece of a picture has up to 4 kB, and what says where it belongs.
    private static let limit = 16 << 10
    private static let escape: UInt8 = 0x1B
    private static let enquiry: UInt8 = 0x05

    /// The beginning of a sequence whose end has not come.
    private var held: [UInt8] = []

    /// What is to be shown of the next piece.
    ///
    /// - Parameter isForAnswering: whether it passes as it is.
    mutating func pass(_ piece: some Collection<UInt8>, isForAnswering: Bool) -> [UInt8] {
        let bytes = held + piece
        held = []
        guard !isForAnswering else { return bytes }
        var passed: [UInt8] = []
        passed.reserveCapacity(bytes.count)
        var terminators = Terminators()
        var index = 0
        while index < bytes.count {
            switch Self.sequence(bytes[index...], &terminators) {
            case .whole(let end, let isQuestion):
                if !isQuestion { passed += bytes[index..<end] }
                index = end
            case .unfinished where bytes.count - index < Self.limit:
                held = Array(bytes[index...])
                return passed
            case .unfinished, .none:
                passed.append(bytes[index])
                index += 1
            }
        }
        return passed
    }

    /// What begins at the first byte.
    private static func sequence(_ bytes: ArraySlice<UInt8>, _ terminators: inout Terminators) -> Sequence {
        let first = bytes[bytes.startIndex]
        if first == enquiry { return .whole(end: bytes.startIndex + 1, isQuestion: true) }
        // Some terminals read U+0080 to U+009F, whose first byte is C2, as escape and a letter.
        guard first == escape || first == 0xC2 else { return .none }
        guard bytes.count > 1 else { return .unfinished }
        let second = bytes[bytes.startIndex + 1]
        let body = bytes.dropFirst(2)
        switch first == escape ? second : second &- 0x40 {
        case UInt8(ascii: "["): return control(body)
        case UInt8(ascii: "]"): return string(body, &terminators, isOfSystem: true) { isQuestion(ofSystem: $0) }
        case UInt8(ascii: "P"): return string(body, &terminators) { $0.hasPrefix("$q") || $0.hasPrefix("+q") }
        // Pictures, which a terminal that knows them acknowledges.
        case UInt8(ascii: "_"): return string(body, &terminators) { _ in true }
        case UInt8(ascii: "Z"): return .whole(end: body.startIndex, isQuestion: true)
        default: return .none
        }
    }

    /// A control sequence behind its introducer.
    private static func control(_ body: ArraySlice<UInt8>) -> Sequence {
        guard let end = body.firstIndex(where: { !(0x20...0x3F).contains($0) }) else { return .unfinished }
        guard (0x40...0x7E).contains(body[end]) else { return .none }
        let parameters = String(decoding: body[..<end], as: UTF8.self)
        let final = Character(Unicode.Scalar(body[end]))
        return .whole(end: end + 1, isQuestion: isQuestion(final, parameters))
    }

    /// As xterm and those after it know them.
    private static func isQuestion(_ final: Character, _ parameters: String) -> Bool {
        switch final {
        case "c": true
        case "n": !parameters.hasPrefix(">")
        case "m", "S": parameters.hasPrefix("?")
        case "p", "w": parameters.hasSuffix("$")
        case "q": parameters.hasPrefix(">")
        case "t": (11...21).contains(Int(parameters.prefix { $0.isNumber }) ?? 0)
        case "u": parameters.hasPrefix("?") || parameters.hasSuffix("$") || parameters.hasSuffix("&")
        case "x": parameters.allSatisfy(\.isNumber)
        case "y": parameters.hasSuffix("*")
        default: false
        }
    }

    /// A string behind its introducer, up to its terminator.
    private static func string(
        _ body: ArraySlice<UInt8>,
        _ terminators: inout Terminators,
        isOfSystem: Bool = false,
        isQuestion: (String) -> Bool
    ) -> Sequence {
        guard let end = terminators.first(in: body), end - body.startIndex < limit else { return .unfinished }
        func whole(_ text: ArraySlice<UInt8>, _ end: Int) -> Sequence {
            .whole(end: end, isQuestion: isQuestion(String(decoding: text, as: UTF8.self)))
        }
        switch body[end] {
        case 0x07 where isOfSystem: return whole(body[..<end], end + 1)
        case escape:
            guard body.indices.contains(end + 1) else { return .unfinished }
            return body[end + 1] == UInt8(ascii: "\\") ? whole(body[..<end], end + 2) : .none
        // The second byte of the terminator, or of some other character.
        case 0x9C where end > body.startIndex && body[end - 1] == 0xC2: return whole(body[..<(end - 1)], end + 1)
        default: return .none
        }
    }

    /// `11;?`, `4;1;?`, `52;c;?`: something is `?` where it would be set.
    private static func isQuestion(ofSystem text: String) -> Bool {
        text.split(separator: ";").dropFirst().contains { $0 == "?" || $0.hasSuffix("=?") }
    }
}
