// SPDX-License-Identifier: Apache-2.0

/// One setting that a user keeps at the server; the value is the client's own text.
package struct Preference: Sendable, Equatable {
    package let key: String
    package let value: String
    package let updatedAt: Timestamp

    package init(key: String, value: String, updatedAt: Timestamp) {
        self.key = key
        self.value = value
        self.updatedAt = updatedAt
    }
}
