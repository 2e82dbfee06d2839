// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotModel
import DiscobotStore

/// What a user says, and to whom.
package struct ChatMessage: Sendable {
    package let sessionID: ID<Session>
    package let message: UIMessage
    /// Needed for a session that does not exist yet.
    package let workspaceID: ID<Workspace>?
    package let agentID: ID<Agent>?
    package let options: Turn.Options
    /// Whether a message that has been answered is to be answered again.
    package let asksAgain: Bool

    package init(
        sessionID: ID<Session>,
        message: UIMessage,
        workspaceID: ID<Workspace>?,
        agentID: ID<Agent>?,
        options: Turn.Options,
        asksAgain: Bool
    ) {
        self.sessionID = sessionID
        self.message = message
        self.workspaceID = workspaceID
        self.agentID = agentID
        self.options = options
        self.asksAgain = asksAgain
    }
}

extension ChatService {
    /// Stores a message, and the turn that answers it once those before it are over; makes the session when it is new.
    ///
    /// A message that is sent again, by a client that lost the connection, stays one: its turn is returned. Throws
    /// `invalidArgument`, `forbidden`, or `conflict`.
    package func send(_ chat: ChatMessage, in project: ID<Project>) async throws -> Turn {
        try await store.write { transaction in
            let session = try existing(chat, in: project, transaction) ?? create(chat, in: project, transaction)
            if let turn = try known(chat, transaction) { return turn }
            guard try transaction.openTurns(of: session.id).count < Self.maximumOpenTurns else {
                throw ServerError.conflict("\(Self.maximumOpenTurns) messages of this session are waiting already")
            }
            try transaction.append(try Message(chat.message, session: session.id))
            let turn = Turn(
                id: .random(),
                sessionID: session.id,
                messageID: chat.message.id,
                options: chat.options,
                createdAt: .now
            )
            try transaction.insert(turn)
            try jobs.enqueue(RunTurnJob.self, turn, project: project, in: transaction)
            return turn
        }
    }

    private func existing(_ chat: ChatMessage, in project: ID<Project>, _ transaction: Transaction) throws -> Session? {
        guard let session = try transaction.session(chat.sessionID) else { return nil }
        guard session.projectID == project else { throw Self.foreign }
        guard try transaction.workspace(session.workspaceID, of: project) != nil else {
            throw ServerError.forbidden("session's workspace does not belong to this project")
        }
        guard !session.commitStatus.isUnderWay else {
            throw ServerError.conflict("Cannot send messages while session is committing")
        }
        guard session.status != .removing else { throw ServerError.conflict("the session is being removed") }
        return session
    }

    private func create(_ chat: ChatMessage, in project: ID<Project>, _ transaction: Transaction) throws -> Session {
        guard let workspaceID = chat.workspaceID, let agentID = chat.agentID else {
            throw ServerError.invalidArgument("workspaceId and agentId are required for new sessions")
        }
        return try transaction.createSession(
            chat.sessionID,
            named: Session.name(from: chat.message),
            workspace: workspaceID,
            agent: agentID,
            in: project,
            jobs: jobs
        )
    }

    /// The turn of a message that was sent before; nil when it is to be answered (again).
    private func known(_ chat: ChatMessage, _ transaction: Transaction) throws -> Turn? {
        guard let earlier = try transaction.message(chat.message.id, of: chat.sessionID) else { return nil }
        guard earlier.role == UIMessage.Role.user.rawValue, try UIMessage(earlier).parts == chat.message.parts else {
            throw ServerError.conflict(
                "messages: another message with the id \(chat.message.id) has been sent; give each its own id"
            )
        }
        guard let turn = try transaction.turn(of: chat.message.id, in: chat.sessionID) else { return nil }
        return switch turn.status {
        case .queued, .running: turn
        case .completed: chat.asksAgain ? nil : turn
        case .failed, .cancelled: nil
        }
    }
}

extension Session {
    /// At most so many characters of the user's first message become the name.
    private static let maximumName = 50

    /// The text of a conversation's first message, cut where it is long.
    static func name(from message: UIMessage) -> String {
        let text = message.parts.lazy.compactMap { if case .text(let text) = $0 { text } else { nil } }.first ?? ""
        // A character may be made of any number of code points.
        let trimmed = String(text.unicodeScalars.prefix(8 * maximumName)).trimmingWhitespace
        guard !trimmed.isEmpty else { return "New Session" }
        return trimmed.count > maximumName ? trimmed.prefix(maximumName) + "..." : String(trimmed)
    }
}

extension String {
    fileprivate var trimmingWhitespace: Substring {
        guard let first = firstIndex(where: { !$0.isWhitespace }),
            let last = lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return self[first...last]
    }
}
