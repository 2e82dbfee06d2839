// SPDX-License-Identifier: Apache-2.0

/// A message of a conversation, as a row.
package struct Message: Sendable, Equatable {
    package let id: String
    package let sessionID: ID<Session>
    /// `user`, `assistant` or `system`.
    package let role: String
    /// JSON list.
    package let parts: String
    /// JSON object: what is known of the message besides its content.
    package let metadata: String?
    package let createdAt: Timestamp

    package init(
        id: String,
        sessionID: ID<Session>,
        role: String,
        parts: String,
        metadata: String? = nil,
        createdAt: Timestamp
    ) {
        self.id = id
        self.sessionID = sessionID
        self.role = role
        self.parts = parts
        self.metadata = metadata
        self.createdAt = createdAt
    }
}
