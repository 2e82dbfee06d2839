// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotStore
import FoundationEssentials

extension Transaction {
    /// Everything that is stored of a turn's answer, folded.
    func answer(of turn: Turn) throws -> Answer {
        var answer = Answer(of: turn)
        while case let batches = try chunks(of: turn.id, after: answer.chunkCount, limit: 64), !batches.isEmpty {
            for batch in batches { answer.append(batch) }
        }
        return answer
    }

    /// Ends a turn as its answer says, or with `ending` where the answer has no end of its own; the message joins the
    /// history, and the session is free again. Nothing changes when the turn has ended.
    func finish(
        _ answer: Answer,
        of session: ID<Session>,
        in project: ID<Project>,
        otherwise ending: ChunkSequence.Ending
    ) throws {
        let turn = answer.turn
        var answer = answer
        if let last = try answer.ending(ending) {
            guard try append(last, to: turn.id) else { return }
            answer.append(last)
        }
        let (status, error) = TurnStatus.end(answer.terminal)
        guard try end(turn.id, as: status, error: error) else { return }
        if !answer.message.parts.isEmpty || error != nil {
            let metadata = TurnMetadata(turnId: turn.id, status: status.rawValue, error: error)
            let message = try Message(answer.message, session: session, metadata: try metadata.json())
            try append(message, answering: turn.messageID)
        }
        try release(session, in: project)
    }

    private func release(_ id: ID<Session>, in project: ID<Project>) throws {
        guard var session = try session(id, of: project), session.status == .running,
            try openTurns(of: id).first?.status != .running
        else { return }
        session.become(.ready)
        try update(session)
        try append(.sessionUpdated(session), to: project)
    }

    /// The agent that a session's messages go to: its own, else the project's default. Throws `notFound`.
    func agent(for session: Session) throws -> Agent {
        if let id = session.agentID, let agent = try agent(id, of: session.projectID) { return agent }
        guard let agent = try agents(of: session.projectID).first(where: \.isDefault) else {
            throw ServerError.notFound("the project has no default agent; make one, or choose one for the session")
        }
        return agent
    }
}

/// What a message of an agent carries besides its parts.
private struct TurnMetadata: Encodable {
    let turnId: ID<Turn>
    let status: String
    let error: String?

    func json() throws -> String { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
}

extension TurnStatus {
    /// What the last chunk of an answer makes of its turn.
    fileprivate static func end(_ terminal: Chunk?) -> (TurnStatus, error: String?) {
        switch terminal {
        case .error(let errorText): (.failed, errorText)
        case .abort: (.cancelled, nil)
        default: (.completed, nil)
        }
    }
}
