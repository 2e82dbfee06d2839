// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore
package import Logging

/// Carries the next message of a session to its agent, and what the agent answers into the log.
///
/// There is a job for each turn, and it runs whichever is next: a job that was interrupted may come back behind others.
/// The agent works on whatever becomes of the server. The next attempt goes on after the last chunk that is stored, so
/// no chunk is lost and none is stored twice.
package struct RunTurnJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
    }

    package static let kind: Job.Kind = "turn"
    /// A turn may wait for its user for hours. Attempts are used up by servers that die, and by a database that fails.
    package static let policy = JobPolicy(
        concurrency: 1000,
        queues: true,
        timeout: .seconds(24 * 3600),
        maxAttempts: 50,
        drains: false
    )

    /// How long an agent may be out of reach, without a new chunk, while its sandbox runs.
    private static let patience: Duration = .seconds(60)
    /// How long an agent may take to end what was cancelled while nobody followed it.
    private static let endPatience: Duration = .seconds(30)

    private let sandboxes: SandboxService
    private let feed: TurnFeed
    /// What the agents' environments hold.
    private let credentials: AgentCredentials
    private let logger: Logger

    package init(sandboxes: SandboxService, feed: TurnFeed, credentials: AgentCredentials, logger: Logger) {
        self.sandboxes = sandboxes
        self.feed = feed
        self.credentials = credentials
        self.logger = logger
    }

    private var store: Store { sandboxes.store }

    package func run(_ payload: Payload) async throws -> JobResult {
        guard let turn = try await store.read({ try $0.openTurns(of: payload.sessionId).first }) else {
            return { _ in }
        }
        let ending = try await ending(of: turn, payload)
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

    /// Follows the turn to its end; returns how it ends where the agent has not said so.
    private func ending(of turn: Turn, _ payload: Payload) async throws -> ChunkSequence.Ending {
        do {
            try await relay(turn, payload)
            return .failed(message: "the agent ended its answer without saying so")
        } catch is TurnCancelled {
            try await stopAgent(of: turn.id, payload)
            return .aborted(reason: "the turn was cancelled")
        } catch let error as ServerError where error.isOfTurn {
            logger.warning(
                "turn failed",
                metadata: ["session": "\(turn.sessionID)", "turn": "\(turn.id)", "error": "\(error)"]
            )
            return .failed(message: error.message)
        }
    }

    /// Follows the agent through losses of the connection and of the sandbox.
    private func relay(_ turn: Turn, _ payload: Payload) async throws {
        var last = (chunkCount: turn.chunkCount > 0 ? 0 : -1, time: ContinuousClock.now)
        let end = SandboxEnd()
        while true {
            // Before the turn has begun, a sandbox that does not run is nothing to tell of.
            let noted = last.chunkCount < 0 ? nil : end
            let agent = try await untilCancelled(turn.id) {
                try await sandboxes.agent(of: payload.sessionId, in: payload.projectId, noting: noted)
            }
            let chunkCount = try await begin(turn, payload)
            if chunkCount > last.chunkCount { last = (chunkCount, .now) }
            do {
                return try await converse(with: agent, turn.id, payload, after: end.reason)
            } catch let error as AgentError {
                try Task.checkCancellation()
                let waited = last.time.duration(to: .now)
                guard error.isPassing, waited < Self.patience else { throw ServerError(ofTurn: error) }
                try await Task.sleep(for: min(max(waited / 10, .milliseconds(50)), .seconds(1)))
            }
        }
    }

    /// Notes that the agent works; returns how many chunks are stored.
    private func begin(_ turn: Turn, _ payload: Payload) async throws -> Int {
        try await store.write { transaction in
            guard try transaction.begin(turn.id), let turn = try transaction.turn(turn.id),
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
    ///
    /// - Parameter end: what has ended the sandbox that the turn began in; nil for none.
    private func converse(
        with agent: AgentClient,
        _ id: ID<Turn>,
        _ payload: Payload,
        after end: String?
    ) async throws {
        let (turn, request, repository) = try await store.read { try Self.request(id, payload, $0) }
        if turn.chunkCount == 0 { try await start(request, in: repository, with: agent) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await follow(turn, at: agent, after: end) }
            group.addTask { try await passOnCancellation(of: id, to: agent) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Stores the chunks of a turn as they come.
    private func follow(_ turn: Turn, at agent: AgentClient, after end: String? = nil) async throws {
        try await agent.follow(turn.id.rawValue, after: turn.chunkCount) { batch in
            let isNext = try await store.write { try $0.append(batch.explained(by: end), to: turn.id) }
            // Another server follows the agent, or the turn is over.
            guard isNext else { throw CancellationError() }
        }
    }

    /// An agent that still works on a turn that has ended here is stopped first.
    private func start(_ request: StartRequest, in repository: String?, with agent: AgentClient) async throws {
        let identity = await Self.identity(of: repository)
        for isLast in [false, true] {
            do {
                _ = try await agent.start(
                    request,
                    credentials: credentials.variables(for: request.agent.type),
                    identity: identity
                )
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
    ) throws -> (Turn, StartRequest, repository: String?) {
        guard let turn = try transaction.turn(id),
            let session = try transaction.session(payload.sessionId, of: payload.projectId),
            let message = try transaction.message(turn.messageID, of: session.id)
        else { throw TurnCancelled() }
        let agent = try transaction.agent(for: session)
        return (
            turn,
            StartRequest(
                messages: [CommitPrompt.expanded(try UIMessage(message), for: agent.agentType, session)],
                completionId: turn.id.rawValue,
                model: turn.options.model,
                reasoning: turn.options.reasoning,
                mode: turn.options.mode,
                agent: AgentSettings(agent)
            ),
            session.workspacePath
        )
    }

    /// Who commits in the workspace commits in its sessions.
    private static func identity(of repository: String?) async -> [(String, String)] {
        guard let repository, let user = try? await GitRepository.identity(in: repository) else { return [] }
        return [(AgentHeader.gitUserName, user.name), (AgentHeader.gitUserEmail, user.email)].filter { _, value in
            !value.isEmpty && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        }
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

    /// Asks the agent to stop when the user does; the end comes as a chunk like any other, to who follows the agent and
    /// then ends this.
    private func passOnCancellation(of turn: ID<Turn>, to agent: AgentClient) async throws {
        try await cancellation(of: turn)
        while true {
            // One that has just ended refuses; one that is out of reach is asked again.
            _ = try? await agent.cancel(turn.rawValue)
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// A turn that was cancelled while nobody followed the agent may still be worked on: it is stopped, and what the
    /// agent has said until then is kept.
    private func stopAgent(of turn: ID<Turn>, _ payload: Payload) async throws {
        let (turn, session) = try await store.read { transaction in
            (try transaction.turn(turn), try transaction.session(payload.sessionId, of: payload.projectId))
        }
        guard let turn, !turn.status.isEnded, let session,
            let agent = try? await sandboxes.runningAgent(of: session)
        else { return }
        _ = try? await agent.cancel(turn.id.rawValue)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // One that has never heard of the turn, or is out of reach, has nothing to say.
                do { try await follow(turn, at: agent) } catch is AgentError {}
            }
            group.addTask { try await Task.sleep(upTo: Self.endPatience) }
            defer { group.cancelAll() }
            try await group.next()
        }
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

extension AgentError {
    /// Whether asking again may help: it is out of reach, or not ready yet.
    fileprivate var isPassing: Bool { code == .unreachable || code == .refused(status: 503) }
}

extension ServerError {
    fileprivate init(ofTurn error: AgentError) {
        let translated = ServerError(error)
        self.init(translated.code == .unavailable ? .operationFailed : translated.code, error.message, cause: error)
    }

    /// Whether the sandbox or its agent is to blame, and not the server, which can try again.
    fileprivate var isOfTurn: Bool {
        isPermanent || code == .operationFailed || code == .timedOut || cause is SandboxError || cause is AgentError
    }
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
