// SPDX-License-Identifier: Apache-2.0

/// The private modes of a terminal, such as its other screen or a hidden cursor, as what it has shown left them.
///
/// Whoever begins to look in the midst of a program has to be told of them.
struct TerminalModes {
    private enum Place {
        case text, escape
        /// Within a control sequence, with its parameters so far.
        case control([UInt8])
    }

    private static let escape: UInt8 = 0x1B
    /// Programs know about thirty.
    private static let maximum = 64
    /// No longer sequence is looked at.
    private static let limit = 64

    private var place = Place.text
    /// In the order in which they were changed last.
    private var modes: [(number: Int, isSet: Bool)] = []

    /// Brings a terminal that has just been reset, or has missed something, into these modes.
    var restoration: String {
        modes.map { "\u{1B}[?\($0.number)\($0.isSet ? "h" : "l")" }.joined()
    }

    /// Whether a program fills the screen, and draws it again when its size changes.
    var hasOtherScreen: Bool {
        modes.contains { [47, 1047, 1049].contains($0.number) && $0.isSet }
    }

    /// Goes on through what is shown.
    mutating func read(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            if case .text = place {
                guard let next = rest.firstIndex(of: Self.escape) else { return }
                rest = rest[next...]
            }
            place = step(rest.removeFirst())
        }
    }

    private mutating func step(_ byte: UInt8) -> Place {
        switch (place, byte) {
        case (_, Self.escape): return .escape
        case (.escape, UInt8(ascii: "[")): return .control([])
        case (.escape, UInt8(ascii: "c")):
            modes = []
            return .text
        case (.control(let parameters), 0x20...0x3F) where parameters.count < Self.limit:
            return .control(parameters + [byte])
        case (.control(let parameters), UInt8(ascii: "h")): set(parameters, true)
        case (.control(let parameters), UInt8(ascii: "l")): set(parameters, false)
        default: break
        }
        return .text
    }

    private mutating func set(_ parameters: [UInt8], _ isSet: Bool) {
        guard parameters.first == UInt8(ascii: "?") else { return }
        for text in String(decoding: parameters.dropFirst(), as: UTF8.self).split(separator: ";") {
            guard let number = Int(text) else { continue }
            modes.removeAll { $0.number == number }
            if modes.count == Self.maximum { modes.removeFirst() }
            modes.append((number, isSet))
        }
    }
}
