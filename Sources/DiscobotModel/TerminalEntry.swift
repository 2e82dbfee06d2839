// SPDX-License-Identifier: Apache-2.0

/// One thing that has happened in the terminals of a session.
package struct TerminalEntry: Sendable, Equatable {
    package static let system = "system"
    package static let output = "output"

    package let id: String
    package let sessionID: ID<Session>
    /// `system` for the life of a shell, `output` for what it has shown.
    package let kind: String
    package let content: String
    /// Of a shell that has ended.
    package let exitCode: Int?
    package let createdAt: Timestamp

    package init(
        id: String,
        sessionID: ID<Session>,
        kind: String,
        content: String,
        exitCode: Int? = nil,
        createdAt: Timestamp = .now
    ) {
        self.id = id
        self.sessionID = sessionID
        self.kind = kind
        self.content = content
        self.exitCode = exitCode
        self.createdAt = createdAt
    }
}
