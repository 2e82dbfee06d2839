// SPDX-License-Identifier: Apache-2.0

/// A statement whose interpolated values are binds: `"… WHERE id = \(id)"` becomes `… WHERE id = $1`.
///
/// Other statements can be interpolated as fragments; a bind is numbered by its place in the whole.
package struct SQL: Sendable, ExpressibleByStringInterpolation {
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var pieces: [String] = [""]
        fileprivate var values: [SQLValue] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            values.reserveCapacity(interpolationCount)
            pieces.reserveCapacity(interpolationCount + 1)
        }

        package mutating func appendLiteral(_ literal: String) {
            pieces[pieces.count - 1] += literal
        }

        package mutating func appendInterpolation(_ value: some SQLConvertible) {
            values.append(value.sqlValue)
            pieces.append("")
        }

        package mutating func appendInterpolation<Value: SQLConvertible>(_ value: Value?) {
            values.append(value.sqlValue)
            pieces.append("")
        }

        package mutating func appendInterpolation(_ fragment: SQL) {
            pieces[pieces.count - 1] += fragment.pieces[0]
            pieces += fragment.pieces.dropFirst()
            values += fragment.values
        }

        /// A parenthesised list of binds, for `IN`; it must not be empty.
        package mutating func appendInterpolation(list: [some SQLConvertible]) {
            appendLiteral("(")
            for (index, value) in list.enumerated() {
                if index > 0 { appendLiteral(", ") }
                appendInterpolation(value)
            }
            appendLiteral(")")
        }
    }

    /// The text around the binds: always one more than there are values.
    private let pieces: [String]
    package let values: [SQLValue]

    package init(stringLiteral text: String) {
        pieces = [text]
        values = []
    }

    package init(stringInterpolation: StringInterpolation) {
        pieces = stringInterpolation.pieces
        values = stringInterpolation.values
    }

    /// The statement with `$1 … $n` for the binds, which both SQLite and PostgreSQL read.
    package var text: String {
        var text = pieces[0]
        for index in values.indices {
            text += "$\(index + 1)"
            text += pieces[index + 1]
        }
        return text
    }
}
