// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore
import ServiceLifecycle

/// Conversations: what the user says becomes a turn, whose answer anybody may follow.
package struct ChatService: Sendable {
    /// How many turns of a session may wait or run.
    static let maximumOpenTurns = 20

    let store: Store
    let jobs: JobQueue
    private let feed: TurnFeed
    private let sandboxes: SandboxService

    package init(store: Store, jobs: JobQueue, feed: TurnFeed, sandboxes: SandboxService) {
        self.store = store
        self.jobs = jobs
        self.feed = feed
        self.sandboxes = sandboxes
    }

    /// The messages of a conversation; throws `notFound`. An answer joins them when it ends.
    package func messages(of id: ID<Session>, in project: ID<Project>) async throws -> [Message] {
        try await store.read { transaction in
            guard try transaction.session(id, of: project) != nil else { throw Self.notFound }
            return try transaction.messages(of: id)
        }
    }

    /// The turns that wait or run, the running one first; throws `notFound`.
    package func openTurns(of id: ID<Session>, in project: ID<Project>) async throws -> [Turn] {
        try await store.read { transaction in
            guard try transaction.session(id, of: project) != nil else { throw Self.notFound }
            return try transaction.openTurns(of: id)
        }
    }

    /// The models that the session's agent can be told to use; starts the sandbox.
    package func models(of id: ID<Session>, in project: ID<Project>) async throws -> [AgentModel] {
        let type = try await store.read { transaction in
            guard let session = try transaction.session(id, of: project) else { throw Self.notFound }
            return try transaction.agent(for: session).agentType
        }
        let agent = try await sandboxes.agent(of: id, in: project, patience: .seconds(60))
        return try await translatingSandboxErrors { try await agent.models(of: type) }
    }

    static let notFound = ServerError.notFound("session not found")
}

// MARK: - Following

extension ChatService {
    /// Follows a turn; end it with `unfollow`.
    package func follow(_ turn: ID<Turn>) -> TurnSubscription {
        feed.subscribe(to: turn, for: .progress)
    }

    package func unfollow(_ subscription: TurnSubscription) {
        feed.unsubscribe(subscription)
    }

    /// The next chunks of a turn.
    package func chunks(of turn: ID<Turn>, after sequence: Int) async throws -> TurnChunks {
        try await store.read { transaction in
            let batches = try transaction.chunks(of: turn, after: sequence, limit: Self.readLimit)
            guard let (status, count) = try transaction.progress(of: turn) else {
                return TurnChunks(batches: [], outlook: .gone)
            }
            if let last = batches.last?.last, last < count { return TurnChunks(batches: batches, outlook: .more) }
            return TurnChunks(batches: batches, outlook: status.isEnded ? .end : .later)
        }
    }

    /// Batches at once; their size is bounded too, since a client that does not read holds so much.
    private static let readLimit = 16

    /// Where a client that comes back reads on: after the chunk that it had last, or at the beginning of the turn that
    /// runs or waits. Nil when there is nothing to send. Throws `forbidden` for a session of another project.
    package func resumption(
        of id: ID<Session>,
        in project: ID<Project>,
        after last: ChunkID?
    ) async throws -> ChunkID? {
        try await store.read { transaction in
            guard let session = try transaction.session(id) else { return nil }
            guard session.projectID == project else { throw Self.foreign }
            if let last, let turn = try transaction.turn(ID(rawValue: last.completion)), turn.sessionID == id,
                last.sequence <= turn.chunkCount,
                try !turn.status.isEnded || !transaction.chunks(of: turn.id, after: last.sequence, limit: 1).isEmpty
            {
                return last
            }
            return try transaction.openTurns(of: id).first.map { ChunkID(completion: $0.id.rawValue, sequence: 0) }
        }
    }

    static let foreign = ServerError.forbidden("session does not belong to this project")
}

/// Some chunks of a turn.
package struct TurnChunks: Sendable {
    package enum Outlook: Sendable {
        /// There are more already.
        case more
        /// Followers are woken when there are more.
        case later
        /// There will be no more.
        case end
        /// The turn has been removed with its session.
        case gone
    }

    /// The first one may begin before what was asked for.
    package let batches: [ChunkBatch]
    package let outlook: Outlook
}

// MARK: - Cancelling, questions

extension ChatService {
    /// Stops a turn, or the first of the session that has not ended, and waits a moment for its end.
    ///
    /// Throws `notFound`, `forbidden`, or `conflict` when nothing waits or runs.
    package func cancel(_ turn: ID<Turn>? = nil, of id: ID<Session>, in project: ID<Project>) async throws -> ID<Turn> {
        let cancelled = try await store.write { transaction in
            guard let session = try transaction.session(id) else { throw Self.notFound }
            guard session.projectID == project else { throw Self.foreign }
            let open = try transaction.openTurns(of: id)
            guard let found = turn.map({ id in open.first { $0.id == id } }) ?? open.first else {
                throw ServerError.conflict("no active completion to cancel")
            }
            try transaction.requestCancel(found.id)
            if found.status == .queued {
                let answer = try transaction.answer(of: found)
                try transaction.finish(
                    answer,
                    of: id,
                    in: project,
                    otherwise: .aborted(reason: "the turn was cancelled")
                )
            }
            return found.id
        }
        try await waitForEnd(of: cancelled, upTo: .seconds(5))
        return cancelled
    }

    private func waitForEnd(of turn: ID<Turn>, upTo patience: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let subscription = follow(turn)
                defer { unfollow(subscription) }
                for await _ in subscription where try await store.read({ try $0.turn(turn)?.status.isEnded ?? true }) {
                    return
                }
            }
            group.addTask { try await Task.sleep(upTo: patience) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// What the session's agent wants to know; nothing when its sandbox does not run.
    package func question(
        _ toolUseID: String?,
        of id: ID<Session>,
        in project: ID<Project>
    ) async throws -> QuestionResponse {
        let session = try await session(id, in: project)
        guard let agent = try await sandboxes.runningAgent(of: session) else {
            return QuestionResponse(status: nil, question: nil)
        }
        return try await translatingSandboxErrors { try await agent.question(toolUseID) }
    }

    /// Throws `notFound` when nobody asks.
    package func answer(_ answer: AnswerRequest, of id: ID<Session>, in project: ID<Project>) async throws {
        let session = try await session(id, in: project)
        guard let agent = try await sandboxes.runningAgent(of: session) else {
            throw ServerError.notFound("no pending question for this toolUseID")
        }
        try await translatingSandboxErrors { try await agent.answer(answer) }
    }

    private func session(_ id: ID<Session>, in project: ID<Project>) async throws -> Session {
        guard let session = try await store.read({ try $0.session(id) }) else { throw Self.notFound }
        guard session.projectID == project else { throw Self.foreign }
        return session
    }
}
