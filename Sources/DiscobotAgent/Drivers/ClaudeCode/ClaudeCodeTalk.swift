// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Synchronization

/// The talk with one process: its lines become chunks and questions, and the answers go back.
///
/// Three tasks: one reads, one gets the user's answers one after another, one writes. Reading never waits for an answer,
/// so that the end of the program is always seen; what the user is not asked for is allowed by the one that reads.
struct ClaudeCodeTalk: Sendable {
    enum End: Sendable {
        case complete
        case failed(DriverError)
        /// There was nothing to go on with; nothing has been shown.
        case conversationGone
        /// The program ended in the middle.
        case broken
    }

    private let turn: DriverTurn
    private let output: DriverOutput
    private let state: ClaudeCodeState
    private let failure: ClaudeCodeFailure
    private let input = AsyncStream.makeStream(of: [UInt8].self, bufferingPolicy: .bufferingOldest(256))
    private let permissions = AsyncStream.makeStream(
        of: ClaudeCodePermission.self,
        bufferingPolicy: .bufferingOldest(64)
    )
    private let policy: ClaudeCodePolicy
    private let withdrawals = ClaudeCodeWithdrawals()
    private let interruption = ClaudeCodeInterruption()

    init(turn: DriverTurn, output: DriverOutput, state: ClaudeCodeState, failure: ClaudeCodeFailure) {
        self.turn = turn
        self.output = output
        self.state = state
        self.failure = failure
        policy = ClaudeCodePolicy(mode: turn.request.mode)
    }

    /// Tells the program to stop; what it says from now on is not shown.
    func interrupt() {
        interruption.begin()
        guard let line = try? ClaudeCodeInput.interrupt() else { return }
        input.continuation.yield(line)
    }

    func run(_ process: AgentProcess, isResumed: Bool, startTimeout: Duration) async throws -> End {
        input.continuation.yield(try ClaudeCodeInput.message(turn.message))
        return try await withThrowingTaskGroup(of: End?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await read(process, isResumed: isResumed) }
            group.addTask { try await write(to: process) }
            group.addTask { try await answer() }
            group.addTask { try await watchStart(startTimeout) }
            while let end = try await group.next() {
                if let end { return end }
            }
            return .broken
        }
    }

    private func watchStart(_ timeout: Duration) async throws -> End? {
        try await Task.sleep(upTo: timeout)
        guard interruption.hasStarted else { throw ClaudeCodeFailure.silent }
        return nil
    }

    // MARK: Reading

    private func read(_ process: AgentProcess, isResumed: Bool) async throws -> End {
        var translator = ClaudeCodeTranslator(messageID: turn.messageID)
        for try await bytes in process.lines {
            let line = ClaudeCodeLine(bytes)
            interruption.start()
            if !interruption.hasBegun {
                for chunk in translator.translate(line) { try await output.send(chunk) }
            }
            if let end = try act(on: line, isResumed: isResumed) { return end }
        }
        return .broken
    }

    private func act(on line: ClaudeCodeLine, isResumed: Bool) throws -> End? {
        switch line {
        case .initialized(let session): try state.keep(session: session)
        // The program would try a refused key again and again.
        case .retrying(let status?) where status == 401 || status == 403: throw failure.refused(status)
        case .permission(let permission): try decide(permission)
        case .withdrawn(let id): withdrawals.withdraw(id)
        case .unknownRequest(let id): try send(ClaudeCodeInput.refusal(of: id))
        case .result(let result):
            if isResumed, result.errors.contains(where: { $0.hasPrefix("No conversation found") }) {
                return .conversationGone
            }
            return failure.error(result).map { .failed($0) } ?? .complete
        default: break
        }
        return nil
    }

    private func decide(_ permission: ClaudeCodePermission) throws {
        guard policy.asks(permission) else {
            return try send(ClaudeCodeInput.answer(permission.allowed(), to: permission.requestID))
        }
        // So many cannot be asked at once, and the program waits for each.
        if case .dropped = permissions.continuation.yield(permission) {
            try send(ClaudeCodeInput.refusal(of: permission.requestID))
        }
    }

    // MARK: Writing

    /// Has a line written. Throws when so many wait that the program cannot be reading them; it would wait for ever for
    /// one that is left out.
    private func send(_ line: [UInt8]) throws {
        if case .dropped = input.continuation.yield(line) { throw ClaudeCodeFailure.deaf }
    }

    private func write(to process: AgentProcess) async throws -> End? {
        for await line in input.stream {
            do {
                try await process.write(line)
            } catch is DriverError {
                // Why the program takes nothing any more is told by its output.
                return nil
            }
        }
        return nil
    }

    private func answer() async throws -> End? {
        for await permission in permissions.stream {
            let (policy, ask) = (policy, output.ask)
            let decided = try await withdrawals.unlessWithdrawn(permission.requestID) {
                try await policy.decision(on: permission, ask: ask)
            }
            guard let decision = decided else { continue }
            if let new = decision["updatedPermissions"]?.elements {
                var rules = state.rules
                rules.add(new)
                try state.keep(rules: rules)
            }
            try send(ClaudeCodeInput.answer(decision, to: permission.requestID))
        }
        return nil
    }
}

/// What has happened to a talk.
private final class ClaudeCodeInterruption: Sendable {
    private let hasBegunFlag = Atomic(false)
    private let hasStartedFlag = Atomic(false)

    /// Whether the program was told to stop.
    var hasBegun: Bool { hasBegunFlag.load(ordering: .relaxed) }
    /// Whether the program has said anything.
    var hasStarted: Bool { hasStartedFlag.load(ordering: .relaxed) }

    func begin() { hasBegunFlag.store(true, ordering: .relaxed) }
    func start() { hasStartedFlag.store(true, ordering: .relaxed) }
}
