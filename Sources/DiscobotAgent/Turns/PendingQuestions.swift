// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Synchronization

/// What the running agent asks the user.
final class PendingQuestions: Sendable {
    private struct Asked {
        let question: PendingQuestion
        /// Nil when it is answered.
        var waiter: CheckedContinuation<[String: String], any Error>?
    }

    private struct State {
        var asked: [Asked] = []
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Waits for the answer; throws when the turn ends.
    func ask(_ question: PendingQuestion) async throws -> [String: String] {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                let isClosed = state.withLock { state in
                    if state.isClosed || Task.isCancelled { return true }
                    state.asked.append(Asked(question: question, waiter: waiter))
                    return false
                }
                if isClosed { waiter.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            close()
        }
    }

    /// - Parameter toolUseID: nil for the one that is pending now.
    func response(_ toolUseID: String?) -> QuestionResponse {
        state.withLock { state in
            let asked =
                toolUseID.map { id in state.asked.last { $0.question.toolUseID == id } }
                ?? state.asked.first { $0.waiter != nil }
            guard let asked, toolUseID != nil || asked.waiter != nil else {
                return QuestionResponse(status: nil, question: nil)
            }
            return asked.waiter == nil
                ? QuestionResponse(status: "answered", question: nil)
                : QuestionResponse(status: "pending", question: asked.question)
        }
    }

    /// Throws `notFound` when nobody asks.
    func answer(_ answer: AnswerRequest) throws {
        let waiter = state.withLock { state -> CheckedContinuation<[String: String], any Error>? in
            let index = state.asked.firstIndex { $0.question.toolUseID == answer.toolUseID && $0.waiter != nil }
            guard let index else { return nil }
            defer { state.asked[index].waiter = nil }
            return state.asked[index].waiter
        }
        guard let waiter else { throw ServerError.notFound("no pending question for this toolUseID") }
        waiter.resume(returning: answer.answers)
    }

    /// Whoever waits gets no answer any more.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { for index in state.asked.indices { state.asked[index].waiter = nil } }
            return state.asked.compactMap(\.waiter)
        }
        for waiter in waiters { waiter.resume(throwing: CancellationError()) }
    }
}
