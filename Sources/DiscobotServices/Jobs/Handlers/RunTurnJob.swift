// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore

/// Carries a user's message to the session's agent, and what the agent answers into the log.
///
/// There is a job for each message, and each runs the first turn that is open. So turns keep their order although a job
/// that is put back, by a server that died, may come after those that waited behind it.
///
/// The agent works on whatever becomes of the server. The next attempt goes on after the last chunk that is stored, so
/// no chunk is lost and none is stored twice.
package struct RunTurnJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
    }

    package static let kind: Job.Kind = "turn"
    /// A turn may wait for its user for hours. Attempts are only used up by servers that die.
    package static let policy = JobPolicy(
        concurrency: 1000,
        queues: true,
        timeout: .seconds(24 * 3600),
        maxAttempts: 50,
        drains: false
    )

    /// How often in a row an agent may be out of reach while its sandbox runs; about a minute with the pauses between.
    private static let patience = 60

    private let sandboxes: SandboxService
    private let feed: TurnFeed
    /// What the agents' environments hold.
    private let credentials: AgentCredentials

    package init(sandboxes: SandboxService, feed: TurnFeed, credentials: AgentCredentials) {
        self.sandboxes = sandboxes
        self.feed = feed
        self.credentials = credentials
    }

    private var store: Store { sandboxes.store }

    package func run(_ payload: Payload) async throws -> JobResult {
        guard let turn = try await store.read({ try $0.openTurns(of: payload.sessionId).first }) else {
            return { _ in }
        }
        let ending: ChunkSequence.Ending
        do {
            try await relay(payload, turn)
            ending = .failed(message: "the agent ended its answer without saying so")
        } catch is TurnCancelled {
            ending = .aborted(reason: "the turn was cancelled")
        } catch let error as ServerError where error.isOfTurn {
            ending = .failed(message: error.message)
        }
        let answer = try await store.read { try $0.answer(of: turn) }
        return { try $0.finish(answer, of: payload.sessionId, in: payload.projectId, otherwise: ending) }
    }

    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {
        guard let turn = try transaction.openTurns(of: payload.sessionId).first else { return }
        let answer = try transaction.answer(of: turn)
        try transaction.finish(
            answer,
            of: payload.sessionId,
            in: payload.projectId,
            otherwise: .failed(message: reason)
        )
    }

    /// Follows the agent to the end of its answer, through losses of the connection and of the sandbox.
    private func relay(_ payload: Payload, _ turn: Turn) async throws {
        var failures = 0
        while true {
            let agent = try await untilCancelled(turn.id) {
                try await sandboxes.agent(of: payload.sessionId, in: payload.projectId)
            }
            let before = try await begin(turn.id, payload)
            do {
                return try await converse(with: agent, turn.id, payload)
            } catch let error as AgentError {
                try Task.checkCancellation()
                let stored = try await store.read { try $0.turn(turn.id)?.chunkCount }
                failures = stored == before ? failures + 1 : 1
                guard error.code == .unreachable, failures < Self.patience else { throw ServerError(ofTurn: error) }
                try await Task.sleep(for: min(.milliseconds(50) * failures, .seconds(1)))
            }
        }
    }

    /// Notes that the agent works; returns how many chunks are stored.
    private func begin(_ id: ID<Turn>, _ payload: Payload) async throws -> Int {
        try await store.write { transaction in
            guard try transaction.begin(id), let turn = try transaction.turn(id),
                var session = try transaction.session(payload.sessionId, of: payload.projectId)
            else { throw TurnCancelled() }
            if session.status == .ready {
                session.become(.running)
                // What has landed is past; the commits of this turn are new ones.
                if session.commitStatus == .completed { session.commitStatus = .none }
                try transaction.update(session)
                try transaction.append(.sessionUpdated(session), to: payload.projectId)
            }
            return turn.chunkCount
        }
    }

    /// Starts the turn unless it is known to have begun, and stores its chunks as they come.
    private func converse(with agent: AgentClient, _ id: ID<Turn>, _ payload: Payload) async throws {
        let (turn, request) = try await store.read { try Self.request(id, payload, $0) }
        if turn.chunkCount == 0 { try await start(request, with: agent) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await agent.follow(turn.id.rawValue, after: turn.chunkCount) { batch in
                    let isNext = try await store.write { try $0.append(batch, to: turn.id) }
                    // Another server follows the agent, or the turn is over.
                    guard isNext else { throw CancellationError() }
                }
            }
            group.addTask { try await passOnCancellation(of: turn.id, to: agent) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// An agent that still works on a turn that has ended here is stopped first.
    private func start(_ request: StartRequest, with agent: AgentClient) async throws {
        for isLast in [false, true] {
            do {
                _ = try await agent.start(request, credentials: credentials.variables(for: request.agent.type))
                return
            } catch let error as AgentError where error.code == .refused(status: 409) && !isLast {
                _ = try? await agent.cancel()
            }
        }
    }

    private static func request(
        _ id: ID<Turn>,
        _ payload: Payload,
        _ transaction: Transaction
    ) throws -> (Turn, StartRequest) {
        guard let turn = try transaction.turn(id),
            let session = try transaction.session(payload.sessionId, of: payload.projectId),
            let message = try transaction.message(turn.messageID, of: session.id)
        else { throw TurnCancelled() }
        let agent = try transaction.agent(for: session)
        return (
            turn,
            StartRequest(
                messages: [try UIMessage(message)],
                completionId: turn.id.rawValue,
                model: turn.options.model,
                reasoning: turn.options.reasoning,
                mode: turn.options.mode,
                agent: AgentSettings(agent)
            )
        )
    }
}

// MARK: - Cancellation

extension RunTurnJob {
    /// Runs `body`, and gives up when the turn is cancelled meanwhile; throws `TurnCancelled` then.
    private func untilCancelled<Value: Sendable>(
        _ turn: ID<Turn>,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await cancellation(of: turn)
                throw TurnCancelled()
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    /// Asks the agent to stop when the user does; the end comes as a chunk like any other.
    private func passOnCancellation(of turn: ID<Turn>, to agent: AgentClient) async throws {
        try await cancellation(of: turn)
        // An agent that has just ended by itself says so; one that is out of reach is found out by who follows it.
        _ = try? await agent.cancel()
        try await Task.sleep(for: Self.policy.timeout ?? .seconds(3600))
    }

    /// Returns once somebody has asked for the turn to be cancelled.
    private func cancellation(of turn: ID<Turn>) async throws {
        let subscription = feed.subscribe(to: turn, for: .cancellation)
        defer { feed.unsubscribe(subscription) }
        for await _ in subscription {
            guard let turn = try await store.read({ try $0.turn(turn) }), !turn.status.isEnded else { return }
            if turn.isCancelRequested { return }
        }
        throw CancellationError()
    }
}

/// The user does not want the turn any more.
private struct TurnCancelled: Error {}

extension ServerError {
    fileprivate init(ofTurn error: AgentError) {
        let translated = ServerError(error)
        self.init(translated.code == .unavailable ? .operationFailed : translated.code, error.message, cause: error)
    }

    /// Whether the sandbox or its agent is to blame, and not the server, which can try again.
    fileprivate var isOfTurn: Bool { isPermanent || code == .operationFailed || code == .timedOut }
}

extension AgentSettings {
    init(_ agent: Agent) {
        self.init(
            type: agent.agentType,
            systemPrompt: agent.systemPrompt,
            mcpServers: agent.mcpServers.filter(\.isEnabled).map {
                NamedMCPServer(name: $0.name, config: $0.configuration)
            }
        )
    }
}

extension JobQueue {
    /// Has a stored turn run.
    func enqueue(_ handler: RunTurnJob.Type, _ turn: Turn, project: ID<Project>, in transaction: Transaction) throws {
        try enqueue(
            handler,
            RunTurnJob.Payload(projectId: project, sessionId: turn.sessionID),
            project: project,
            resource: .conversation(turn.sessionID),
            in: transaction
        )
    }
}
