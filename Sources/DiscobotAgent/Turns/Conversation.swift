// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Logging

/// The conversation of the sandbox's session: one turn at a time, each kept in the journal.
actor Conversation {
    /// What became of a request to start.
    enum Start: Equatable {
        case started(completion: String)
        case occupied(by: String)
    }

    private struct Running {
        let file: JournalFile
        let questions: PendingQuestions
        let task: Task<Void, Never>
    }

    private let journal: Journal
    private let drivers: AgentDrivers
    private let workingCopy: WorkingCopy
    private let hooks: HookRunner
    private let directories: DataDirectories
    private let environment: [String: String]
    private let logger: Logger
    private var running: Running?
    private var lastQuestions = PendingQuestions()
    private var isStopping = false

    init(
        journal: Journal,
        drivers: AgentDrivers,
        workingCopy: WorkingCopy,
        hooks: HookRunner,
        directories: DataDirectories,
        environment: [String: String],
        logger: Logger
    ) {
        self.journal = journal
        self.drivers = drivers
        self.workingCopy = workingCopy
        self.hooks = hooks
        self.directories = directories
        self.environment = environment
        self.logger = logger
    }

    /// What the answer to a completion is called.
    static func messageID(of completion: String) -> String { "msg-\(completion)" }

    /// Starts a turn, or says that its completion is known. Throws `ServerError`.
    func start(_ request: StartRequest, _ secrets: TurnSecrets) async throws -> Start {
        let completion = request.completionId ?? String(UUID().uuidString.lowercased().prefix(8))
        guard Journal.isValid(completion) else {
            throw ServerError.invalidArgument("completionId must be up to 128 letters, digits, '-', '_' and '.'")
        }
        guard let message = request.messages.last(where: { $0.role == .user }) else {
            throw ServerError.invalidArgument("No user message found")
        }
        let driver = try drivers.driver(of: request.agent.type)
        if journal.file(completion) != nil { return .started(completion: completion) }
        if let running { return .occupied(by: running.file.completion) }
        guard !isStopping else { throw ServerError(.unavailable, "the agent's runtime is stopping") }
        try workingCopy.requireReady()
        try begin(completion, request, message, driver, secrets)
        return .started(completion: completion)
    }

    private func begin(
        _ completion: String,
        _ request: StartRequest,
        _ message: UIMessage,
        _ driver: any AgentDriver,
        _ secrets: TurnSecrets
    ) throws {
        let messageID = Self.messageID(of: completion)
        let turn = DriverTurn(
            request: request,
            message: message,
            messageID: messageID,
            workingDirectory: directories.workspace,
            stateDirectory: try directories.state(of: request.agent.type),
            environment: secrets.environment(base: environment, home: directories.home)
        )
        let writer: JournalWriter
        do {
            writer = try journal.begin(completion, message: message, messageID: messageID)
        } catch {
            throw ServerError(.storageFull, "the session's disk does not take the answer", cause: error)
        }
        guard let file = journal.file(completion) else { throw ServerError(.internal, "the journal lost a completion") }
        let questions = PendingQuestions()
        logger.info("turn started", metadata: ["completion": "\(completion)", "agent": "\(request.agent.type)"])
        // Lives as long as the turn, whoever asked for it; `stop` and `cancel` end it.
        let task = Task {
            await workingCopy.setIdentity(secrets)
            await self.run(turn, driver, writer, questions)
            ended(file)
        }
        running = Running(file: file, questions: questions, task: task)
    }

    @concurrent
    private nonisolated func run(
        _ turn: DriverTurn,
        _ driver: any AgentDriver,
        _ writer: JournalWriter,
        _ questions: PendingQuestions
    ) async {
        let output = DriverOutput(
            send: { chunk in
                try Task.checkCancellation()
                try writer.append(chunk)
            },
            ask: { try await questions.ask($0) }
        )
        do {
            try await HookedTurn(hooks: hooks).run(turn, driver, output)
            try Task.checkCancellation()
            writer.end(.finished)
        } catch {
            if Task.isCancelled {
                let isStopping = await isStopping
                writer.end(isStopping ? .failed(message: Self.stopped) : .aborted(reason: "the turn was cancelled"))
            } else {
                let message = (error as? DriverError)?.message ?? "the agent failed: \(error)"
                writer.end(.failed(message: message))
            }
        }
        questions.close()
    }

    private static let stopped = "the sandbox was stopped while the agent worked; send the message again to go on"

    private func ended(_ file: JournalFile) {
        var metadata: Logger.Metadata = ["completion": "\(file.completion)", "bytes": "\(file.extent.bytes)"]
        if file.extent.error != nil { metadata["failed"] = "true" }
        logger.info("turn ended", metadata: metadata)
        lastQuestions = running?.questions ?? lastQuestions
        running = nil
        journal.removeOldest()
    }

    var status: ChatStatus {
        guard let running else { return ChatStatus(isRunning: false, error: journal.all.last?.extent.error) }
        return ChatStatus(isRunning: true, completionId: running.file.completion, startedAt: running.file.startedAt)
    }

    /// The file of the running completion.
    var current: JournalFile? { running?.file }

    var questions: PendingQuestions { running?.questions ?? lastQuestions }

    /// Ends a completion, or whatever runs, and returns its id when it has ended; nil when that does not run.
    func cancel(_ completion: String? = nil) async -> String? {
        guard let running, completion == nil || completion == running.file.completion else { return nil }
        running.task.cancel()
        await running.task.value
        return running.file.completion
    }

    /// Forgets everything that was said, and ends what runs.
    func forget() async throws {
        while running != nil { _ = await cancel() }
        journal.removeAll()
        lastQuestions = PendingQuestions()
        try directories.removeStates()
    }

    /// Ends what runs, and starts nothing any more.
    func stop() async {
        isStopping = true
        _ = await cancel()
    }
}
