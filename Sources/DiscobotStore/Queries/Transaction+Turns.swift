// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials

extension Transaction {
    package func turn(_ id: ID<Turn>) throws -> Turn? {
        try row("SELECT \(Turn.columns) FROM turns WHERE id = \(id)").map(Turn.init)
    }

    /// Where a turn stands and how many chunks are stored; nil when there is no such turn.
    package func progress(of turn: ID<Turn>) throws -> (status: TurnStatus, chunkCount: Int)? {
        try row("SELECT status, chunk_count FROM turns WHERE id = \(turn)").map {
            (try $0.value("status"), try $0.value("chunk_count"))
        }
    }

    /// The turns of a session that have not ended, the next one or the running one first.
    package func openTurns(of session: ID<Session>) throws -> [Turn] {
        try rows(
            """
            SELECT \(Turn.columns) FROM turns WHERE session_id = \(session) AND status IN ('queued', 'running')
            ORDER BY position
            """
        ).map(Turn.init)
    }

    /// The last turn that a message of the user began.
    package func turn(of message: String, in session: ID<Session>) throws -> Turn? {
        try row(
            """
            SELECT \(Turn.columns) FROM turns WHERE session_id = \(session) AND message_id = \(message)
            ORDER BY position DESC LIMIT 1
            """
        ).map(Turn.init)
    }

    /// Stores a turn behind the others of its session.
    package func insert(_ turn: Turn) throws {
        let options = String(decoding: try JSONEncoder().encode(turn.options), as: UTF8.self)
        try execute(
            """
            INSERT INTO turns (\(Turn.columns), position)
            VALUES (\(turn.id), \(turn.sessionID), \(turn.messageID), \(options), \(turn.status), \(turn.chunkCount),
                \(turn.isCancelRequested), \(turn.error), \(turn.createdAt), \(turn.startedAt), \(turn.endedAt),
                (SELECT COALESCE(MAX(position), 0) + 1 FROM turns WHERE session_id = \(turn.sessionID)))
            """
        )
        news.turns.insert(turn.id)
    }

    /// Marks a turn as running; false when it has ended.
    package func begin(_ turn: ID<Turn>) throws -> Bool {
        let changed = try execute(
            """
            UPDATE turns SET status = 'running', started_at = COALESCE(started_at, \(Timestamp.now))
            WHERE id = \(turn) AND status IN ('queued', 'running')
            """
        )
        news.turns.insert(turn)
        return changed > 0
    }

    /// Notes that somebody wants a turn stopped.
    package func requestCancel(_ turn: ID<Turn>) throws {
        try execute("UPDATE turns SET cancel_requested = 1 WHERE id = \(turn)")
        news.turns.insert(turn)
        news.cancelledTurns.insert(turn)
    }

    /// Ends a turn; false when it has ended already, and then nothing changes.
    package func end(_ turn: ID<Turn>, as status: TurnStatus, error: String?) throws -> Bool {
        let changed = try execute(
            """
            UPDATE turns SET status = \(status), error = \(error), ended_at = \(Timestamp.now)
            WHERE id = \(turn) AND status IN ('queued', 'running')
            """
        )
        news.turns.insert(turn)
        news.cancelledTurns.insert(turn)
        return changed > 0
    }

    /// Stores the next chunks of a turn's answer; false when the turn has ended, or other chunks are next.
    package func append(_ batch: ChunkBatch, to turn: ID<Turn>) throws -> Bool {
        let changed = try execute(
            """
            UPDATE turns SET chunk_count = \(batch.last)
            WHERE id = \(turn) AND status IN ('queued', 'running') AND chunk_count = \(batch.first - 1)
            """
        )
        guard changed > 0 else { return false }
        try execute(
            """
            INSERT INTO turn_chunks (turn_id, first_sequence, last_sequence, lines)
            VALUES (\(turn), \(batch.first), \(batch.last), \(batch.lines))
            """
        )
        news.turns.insert(turn)
        return true
    }

    /// The chunks after number `sequence`, at most `limit` batches and about a megabyte at a time; the first batch may begin
    /// before it.
    package func chunks(of turn: ID<Turn>, after sequence: Int, limit: Int) throws -> [ChunkBatch] {
        // From the batch that holds the next chunk on: the last one that begins at or before it.
        try rows(
            """
            SELECT first_sequence, last_sequence, lines FROM (
                SELECT first_sequence, last_sequence, lines,
                    SUM(LENGTH(lines)) OVER (ORDER BY first_sequence) - LENGTH(lines) AS size_before
                FROM turn_chunks
                WHERE turn_id = \(turn) AND last_sequence > \(sequence) AND first_sequence >= (
                    SELECT COALESCE(MAX(first_sequence), 0) FROM turn_chunks
                    WHERE turn_id = \(turn) AND first_sequence - 1 <= \(sequence))
                ORDER BY first_sequence LIMIT \(limit)
            ) AS next WHERE size_before < 1048576 ORDER BY first_sequence
            """
        ).map {
            ChunkBatch(
                first: try $0.value("first_sequence"),
                last: try $0.value("last_sequence"),
                lines: try $0.value("lines")
            )
        }
    }

    /// Forgets the chunks of some turns that ended before `time`, whose messages stay; returns how many turns.
    @discardableResult
    package func deleteChunks(endedBefore time: Timestamp) throws -> Int {
        let turns = try rows(
            """
            SELECT id FROM turns WHERE ended_at IS NOT NULL AND has_chunks = 1 AND ended_at < \(time)
            ORDER BY ended_at LIMIT 10
            """
        ).map { row -> ID<Turn> in try row.value("id") }
        guard !turns.isEmpty else { return 0 }
        try execute("DELETE FROM turn_chunks WHERE turn_id IN \(list: turns)")
        return try execute("UPDATE turns SET has_chunks = 0 WHERE id IN \(list: turns)")
    }
}

extension Turn {
    static let columns: SQL =
        """
        id, session_id, message_id, options, status, chunk_count, cancel_requested, error, created_at, started_at,
        ended_at
        """

    fileprivate init(_ row: SQLRow) throws {
        let options: String = try row.value("options")
        self.init(
            id: try row.value("id"),
            sessionID: try row.value("session_id"),
            messageID: try row.value("message_id"),
            options: try JSONDecoder().decode(Options.self, from: Data(options.utf8)),
            status: try row.value("status"),
            chunkCount: try row.value("chunk_count"),
            isCancelRequested: try row.value("cancel_requested"),
            error: try row.value("error"),
            createdAt: try row.value("created_at"),
            startedAt: try row.value("started_at"),
            endedAt: try row.value("ended_at")
        )
    }
}
