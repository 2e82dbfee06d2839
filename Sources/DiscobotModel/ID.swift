// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Synchronization

/// Identifies one `Noun`; ids of different nouns cannot be mixed up.
package struct ID<Noun>: Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// A new random id: UUID version 4, lower case.
    package static func random() -> ID {
        ID(rawValue: UUID().uuidString.lowercased())
    }

    /// A new id that sorts behind all that this process has made before: UUID version 7 with the counter of RFC 9562,
    /// section 6.2, method 1. It tells when it was made.
    package static func ordered() -> ID {
        let stamp = lastStamp.withLock { last in
            last = max(last + 1, UInt64(Timestamp.now.milliseconds) << 12)
            return last
        }
        let time = hexadecimal(stamp >> 12, digits: 12)
        let counter = hexadecimal(stamp & 0xFFF, digits: 3)
        // With the two bits of this kind of UUID.
        let random = hexadecimal(UInt64.random(in: 0...UInt64.max) >> 2 | 1 << 63, digits: 16)
        return ID(
            rawValue: "\(time.prefix(8))-\(time.suffix(4))-7\(counter)-\(random.prefix(4))-\(random.suffix(12))"
        )
    }

    package var description: String { rawValue }
}

/// Milliseconds and a counter of twelve bits, which overflows into them.
private let lastStamp = Mutex<UInt64>(0)

private func hexadecimal(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

extension ID: ExpressibleByStringLiteral {
    package init(stringLiteral value: String) {
        self.init(rawValue: value)
    }
}

extension ID: Codable {
    package init(from decoder: any Decoder) throws {
        rawValue = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}
