// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent
import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

/// The driver with the real program and a scripted model; one conversation in a working copy of its own.
struct ClaudeCodeBench: Sendable {
    let api: MockAnthropicAPI
    let directory: TemporaryDirectory
    var environment: [String: String]
    var agent = AgentSettings(type: "claude-code")
    var driver: ClaudeCodeDriver

    /// Runs `body` with the program as it is installed for tests; throws when it is not.
    static func with(
        limits: ClaudeCodeDriver.Limits = .init(),
        _ body: @escaping @Sendable (ClaudeCodeBench) async throws -> Void
    ) async throws {
        try await MockAnthropicAPI.with { api in
            try await TemporaryDirectory.with { directory in
                for name in ["home", "work", "state"] {
                    try FileManager.default.createDirectory(
                        atPath: directory.file(name),
                        withIntermediateDirectories: false
                    )
                }
                let strays = StrayProcesses(owner: directory.path, isAlone: false)
                try await body(
                    ClaudeCodeBench(
                        api: api,
                        directory: directory,
                        environment: try TestAgents.claudeCodeEnvironment(api, home: directory.file("home")),
                        driver: ClaudeCodeDriver(strays: strays, limits: limits)
                    )
                )
            }
        }
    }

    /// Gives the agent a message and waits for the end of its turn, whose stream is checked.
    func turn(
        _ text: String,
        mode: String? = nil,
        model: String? = nil,
        reasoning: String? = nil,
        answers: @escaping @Sendable (PendingQuestion) async -> [String: String] = { _ in [:] },
        onChunk: @escaping @Sendable (Chunk) async throws -> Void = { _ in }
    ) async throws -> ClaudeCodeTurnRecord {
        let message = UIMessage(id: "user-1", role: .user, parts: [.text(text)])
        let request = StartRequest(
            messages: [message],
            completionId: nil,
            model: model,
            reasoning: reasoning,
            mode: mode,
            agent: agent
        )
        let turn = DriverTurn(
            request: request,
            message: message,
            messageID: "answer",
            workingDirectory: directory.file("work"),
            stateDirectory: directory.file("state"),
            environment: environment
        )
        let recorder = ClaudeCodeRecorder()
        let output = DriverOutput(
            send: { chunk in
                recorder.add(chunk)
                try await onChunk(chunk)
            },
            ask: { question in
                recorder.add(question)
                return await answers(question)
            }
        )
        let result: Result<Void, any Error>
        do {
            result = .success(try await driver.run(turn, output))
        } catch {
            result = .failure(error)
        }
        let record = try recorder.record(result)
        // Also when the test has cancelled this.
        let complaints = try await Task { try await ChunkStreamValidator.complaints(about: record.chunks) }.value
        #expect(complaints.isEmpty)
        return record
    }

    /// The numbers of the agent's processes that run, found by the home that all have.
    var processes: [Int32] {
        let mark = "HOME=\(directory.file("home"))"
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { Int32($0) }.filter { pid in
            guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
            return String(decoding: data, as: UTF8.self).split(separator: "\0").contains { $0 == mark }
        }
    }
}

/// How a turn went.
struct ClaudeCodeTurnRecord: Sendable {
    /// The whole stream, as the driver's caller makes it.
    let chunks: [Chunk]
    let questions: [PendingQuestion]
    let error: DriverError?
    let isCancelled: Bool

    /// What the user sees.
    var message: UIMessage {
        var builder = MessageBuilder(id: "", createdAt: Timestamp(milliseconds: 0))
        for chunk in chunks { builder.append(chunk) }
        return builder.message
    }

    var tools: [ToolPart] {
        message.parts.compactMap { if case .dynamicTool(let tool) = $0 { tool } else { nil } }
    }
}

/// Collects what a driver sends.
private final class ClaudeCodeRecorder: Sendable {
    private let state = Mutex((chunks: [Chunk](), questions: [PendingQuestion]()))

    func add(_ chunk: Chunk) { state.withLock { $0.chunks.append(chunk) } }
    func add(_ question: PendingQuestion) { state.withLock { $0.questions.append(question) } }

    /// Throws what no driver may throw.
    func record(_ result: Result<Void, any Error>) throws -> ClaudeCodeTurnRecord {
        let (chunks, questions) = state.withLock { $0 }
        var sequence = ChunkSequence(messageID: "answer")
        var stream = chunks.flatMap { sequence.append($0) }
        // The driver's own order is a right one.
        #expect(stream == [.start(messageId: "answer")] + chunks || chunks.isEmpty)
        var (failure, isCancelled): (DriverError?, Bool) = (nil, false)
        switch result {
        case .success: stream += sequence.end(.finished)
        case .failure(let error as DriverError):
            failure = error
            stream += sequence.end(.failed(message: error.message))
        case .failure(is CancellationError):
            isCancelled = true
            stream += sequence.end(.aborted(reason: "cancelled"))
        case .failure(let error): throw error
        }
        return ClaudeCodeTurnRecord(chunks: stream, questions: questions, error: failure, isCancelled: isCancelled)
    }
}
