// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials

/// How many events a project keeps; a reader that is further behind is told so.
package let retainedEventCount: Int64 = 10_000

extension Transaction {
    /// Adds an event to the project's log; a project that is gone has no log.
    package func append(_ kind: EventKind, to project: ID<Project>) throws {
        let number = try row(
            """
            UPDATE projects SET last_event_sequence = last_event_sequence + 1 WHERE id = \(project)
            RETURNING last_event_sequence
            """
        )
        guard let sequence: Int64 = try number?.value("last_event_sequence") else { return }
        let data = String(decoding: try JSONEncoder().encode(kind), as: UTF8.self)
        try execute(
            """
            INSERT INTO project_events (project_id, sequence, type, data, created_at)
            VALUES (\(project), \(sequence), \(kind.type), \(data), \(Timestamp.now))
            """
        )
        try prune(project, last: sequence)
        news.projects.insert(project)
    }

    /// Adds an event to the log of each project.
    package func appendToAllProjects(_ kind: EventKind) throws {
        for row in try rows("SELECT id FROM projects ORDER BY id") { try append(kind, to: try row.value("id")) }
    }

    /// Events after a sequence number, in order.
    package func events(of project: ID<Project>, after sequence: Int64, limit: Int) throws -> [Event] {
        try rows(
            """
            SELECT project_id, sequence, type, data, created_at FROM project_events
            WHERE project_id = \(project) AND sequence > \(sequence) ORDER BY sequence LIMIT \(limit)
            """
        ).map(Event.init)
    }

    /// The numbers of the oldest kept and the newest event; `newest` is 0 and `oldest` 1 before the first.
    package func eventBounds(of project: ID<Project>) throws -> (oldest: Int64, newest: Int64) {
        let bounds = try row(
            """
            SELECT last_event_sequence,
                (SELECT MIN(sequence) FROM project_events WHERE project_id = \(project)) AS oldest
            FROM projects WHERE id = \(project)
            """
        )
        let newest: Int64 = try bounds?.value("last_event_sequence") ?? 0
        let oldest: Int64? = try bounds?.value("oldest")
        return (oldest ?? newest + 1, newest)
    }

    /// The number of the last event before `time`; 0 when there is none.
    package func sequence(before time: Timestamp, in project: ID<Project>) throws -> Int64 {
        let found = try row(
            """
            SELECT MAX(sequence) AS last FROM project_events
            WHERE project_id = \(project) AND created_at < \(time)
            """
        )
        let last: Int64? = try found?.value("last")
        return last ?? 0
    }

    /// Now and then, so that appending stays cheap and the log bounded.
    private func prune(_ project: ID<Project>, last: Int64) throws {
        guard last.isMultiple(of: 256) else { return }
        try execute(
            "DELETE FROM project_events WHERE project_id = \(project) AND sequence <= \(last - retainedEventCount)"
        )
    }
}

extension Event {
    fileprivate init(_ row: SQLRow) throws {
        self.init(
            projectID: try row.value("project_id"),
            sequence: try row.value("sequence"),
            type: try row.value("type"),
            timestamp: try row.value("created_at"),
            data: try row.value("data")
        )
    }
}
