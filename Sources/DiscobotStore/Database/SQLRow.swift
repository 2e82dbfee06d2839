// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// One row of a result.
package struct SQLRow: Sendable {
    /// Shared by all rows of a result.
    let columns: [String]
    let values: [SQLValue]

    package init(columns: [String], values: [SQLValue]) {
        self.columns = columns
        self.values = values
    }

    /// The value of `column`; throws `ServerError` when it is missing or of another type, which is a fault of the schema.
    package func value<Value: SQLConvertible>(_ column: String) throws -> Value {
        guard let index = columns.firstIndex(of: column), let value = Value(sqlValue: values[index]) else {
            throw ServerError(.internal, "the database's column \(column) is not a \(Value.self)")
        }
        return value
    }
}
