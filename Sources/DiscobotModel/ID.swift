// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

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

    package var description: String { rawValue }
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
