// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// The messages of a conversation in their order.
    package func messages(of session: ID<Session>) throws -> [Message] {
        try rows(
            "SELECT \(Message.columns) FROM messages WHERE session_id = \(session) ORDER BY position, created_at, id"
        )
        .map(Message.init)
    }

    package func message(_ id: String, of session: ID<Session>) throws -> Message? {
        try row("SELECT \(Message.columns) FROM messages WHERE session_id = \(session) AND id = \(id)")
            .map(Message.init)
    }

    /// Stores a message of the user at the end of its conversation, or the answer to one right behind it; false when there
    /// is one with its id.
    @discardableResult
    package func append(_ message: Message, answering question: String? = nil) throws -> Bool {
        // Messages of the user have even positions, with room for the answer that may come after the next message.
        let end: SQL =
            "(SELECT COALESCE(MAX(position), 0) / 2 * 2 + 2 FROM messages WHERE session_id = \(message.sessionID))"
        let position: SQL =
            question.map {
                """
                COALESCE((SELECT position + 1 FROM messages WHERE session_id = \(message.sessionID) AND id = \($0)), \(end))
                """
            } ?? end
        return try execute(
            """
            INSERT INTO messages (\(Message.columns), position)
            VALUES (\(message.id), \(message.sessionID), \(message.role), \(message.parts), \(message.metadata),
                \(message.createdAt), \(position))
            ON CONFLICT DO NOTHING
            """
        ) > 0
    }
}

extension Message {
    static let columns: SQL = "id, session_id, role, parts, metadata, created_at"

    fileprivate init(_ row: SQLRow) throws {
        self.init(
            id: try row.value("id"),
            sessionID: try row.value("session_id"),
            role: try row.value("role"),
            parts: try row.value("parts"),
            metadata: try row.value("metadata"),
            createdAt: try row.value("created_at")
        )
    }
}
