// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension Transaction {
    /// How many entries of a session are kept.
    private static let kept = 200

    /// What has happened in a session's terminals, the newest first.
    package func terminalHistory(of session: ID<Session>, limit: Int) throws -> [TerminalEntry] {
        try rows(
            """
            SELECT id, session_id, entry_type, content, exit_code, created_at FROM terminal_history
            WHERE session_id = \(session) ORDER BY created_at DESC, id DESC LIMIT \(limit)
            """
        ).map { row in
            TerminalEntry(
                id: try row.value("id"),
                sessionID: try row.value("session_id"),
                kind: try row.value("entry_type"),
                content: try row.value("content"),
                exitCode: try row.value("exit_code"),
                createdAt: try row.value("created_at")
            )
        }
    }

    /// Stores an entry, and forgets the oldest; false when it is there already, or the session is gone.
    @discardableResult
    package func append(_ entry: TerminalEntry) throws -> Bool {
        let changed = try execute(
            """
            INSERT INTO terminal_history (id, session_id, entry_type, content, exit_code, created_at)
            SELECT \(entry.id), \(entry.sessionID), \(entry.kind), \(entry.content), \(entry.exitCode), \(entry.createdAt)
            WHERE EXISTS (SELECT 1 FROM sessions WHERE id = \(entry.sessionID))
            ON CONFLICT (id) DO NOTHING
            """
        )
        guard changed > 0 else { return false }
        try execute(
            """
            DELETE FROM terminal_history WHERE session_id = \(entry.sessionID) AND id NOT IN (
                SELECT id FROM terminal_history WHERE session_id = \(entry.sessionID)
                ORDER BY created_at DESC, id DESC LIMIT \(Self.kept))
            """
        )
        return true
    }
}
