// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What a column or a bind can hold; the types that SQLite and PostgreSQL share.
package enum SQLValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case text(String)
}

/// A Swift value that is stored in one column.
package protocol SQLConvertible {
    /// Nil when `sqlValue` is not such a value.
    init?(sqlValue: SQLValue)
    var sqlValue: SQLValue { get }
}

extension String: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        guard case .text(let text) = sqlValue else { return nil }
        self = text
    }

    package var sqlValue: SQLValue { .text(self) }
}

extension Int64: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        guard case .integer(let integer) = sqlValue else { return nil }
        self = integer
    }

    package var sqlValue: SQLValue { .integer(self) }
}

extension Int: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        guard let integer = Int64(sqlValue: sqlValue) else { return nil }
        self.init(integer)
    }

    package var sqlValue: SQLValue { .integer(Int64(self)) }
}

extension Bool: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        guard let integer = Int64(sqlValue: sqlValue) else { return nil }
        self = integer != 0
    }

    package var sqlValue: SQLValue { .integer(self ? 1 : 0) }
}

extension Timestamp: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        guard let milliseconds = Int64(sqlValue: sqlValue) else { return nil }
        self.init(milliseconds: milliseconds)
    }

    package var sqlValue: SQLValue { .integer(milliseconds) }
}

extension Optional: SQLConvertible where Wrapped: SQLConvertible {
    package init?(sqlValue: SQLValue) {
        if sqlValue == .null {
            self = .none
        } else if let wrapped = Wrapped(sqlValue: sqlValue) {
            self = .some(wrapped)
        } else {
            return nil
        }
    }

    package var sqlValue: SQLValue { self?.sqlValue ?? .null }
}

extension SQLConvertible where Self: RawRepresentable, RawValue == String {
    package init?(sqlValue: SQLValue) {
        guard case .text(let text) = sqlValue else { return nil }
        self.init(rawValue: text)
    }

    package var sqlValue: SQLValue { .text(rawValue) }
}

extension ID: SQLConvertible {}
extension ProjectRole: SQLConvertible {}
extension Workspace.SourceType: SQLConvertible {}
extension Workspace.Network: SQLConvertible {}
extension WorkspaceStatus: SQLConvertible {}
extension SessionStatus: SQLConvertible {}
extension CommitStatus: SQLConvertible {}
extension TurnStatus: SQLConvertible {}
extension Job.Kind: SQLConvertible {}
extension JobStatus: SQLConvertible {}
