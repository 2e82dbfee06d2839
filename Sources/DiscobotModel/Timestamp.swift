// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A moment in whole milliseconds since 1970 (UTC), as it is stored; JSON carries it as RFC 3339.
package struct Timestamp: Hashable, Sendable, Comparable {
    package let milliseconds: Int64

    package init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    package static var now: Timestamp {
        Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// The moment `duration` later; finer than a millisecond is cut off.
    package func advanced(by duration: Duration) -> Timestamp {
        Timestamp(milliseconds: milliseconds + duration.milliseconds)
    }
}

extension Timestamp {
    private static let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// RFC 3339 in UTC with milliseconds, for example `2026-01-31T12:00:00.000Z`.
    package var rfc3339: String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(Self.format)
    }

    /// Reads RFC 3339, with or without a fraction; nil for any other text.
    package init?(rfc3339 text: String) {
        guard let date = (try? Self.format.parse(text)) ?? (try? Date.ISO8601FormatStyle().parse(text)) else {
            return nil
        }
        self.init(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
    }
}

extension Timestamp: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rfc3339)
    }
}

extension Duration {
    /// The duration in whole milliseconds, cut off.
    package var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
