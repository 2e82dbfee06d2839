// SPDX-License-Identifier: Apache-2.0

/// One message of a user and what the agent does about it.
package struct Turn: Sendable, Equatable {
    /// How the user wants this turn to be done; nil is the agent's default.
    package struct Options: Sendable, Equatable, Codable {
        package var model: String?
        package var reasoning: String?
        package var mode: String?

        package init(model: String? = nil, reasoning: String? = nil, mode: String? = nil) {
            self.model = model
            self.reasoning = reasoning
            self.mode = mode
        }
    }

    package let id: ID<Turn>
    package let sessionID: ID<Session>
    /// Of the user.
    package let messageID: String
    package let options: Options
    package let status: TurnStatus
    /// How many chunks of the answer are stored; the last one's number.
    package let chunkCount: Int
    package let isCancelRequested: Bool
    /// Why it failed.
    package let error: String?
    package let createdAt: Timestamp
    package let startedAt: Timestamp?
    package let endedAt: Timestamp?

    package init(
        id: ID<Turn>,
        sessionID: ID<Session>,
        messageID: String,
        options: Options,
        status: TurnStatus = .queued,
        chunkCount: Int = 0,
        isCancelRequested: Bool = false,
        error: String? = nil,
        createdAt: Timestamp,
        startedAt: Timestamp? = nil,
        endedAt: Timestamp? = nil
    ) {
        self.id = id
        self.sessionID = sessionID
        self.messageID = messageID
        self.options = options
        self.status = status
        self.chunkCount = chunkCount
        self.isCancelRequested = isCancelRequested
        self.error = error
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.endedAt = endedAt
    }
}

/// Where a turn stands; the last three are ends.
package enum TurnStatus: String, Sendable, CaseIterable {
    case queued, running, completed, failed, cancelled

    package var isEnded: Bool { self != .queued && self != .running }
}

/// A run of chunks of a turn's answer.
package struct ChunkBatch: Sendable, Equatable {
    /// The number of the first one; the first of a turn is 1.
    package let first: Int
    package let last: Int
    /// The chunks' JSON, each on a line of its own, without a line break at the end.
    package let lines: String

    package init(first: Int, last: Int, lines: String) {
        self.first = first
        self.last = last
        self.lines = lines
    }
}
