// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import Synchronization

/// What the running agent asks the user.
final class PendingQuestions: Sendable {
    private enum Stand {
        case waiting(CheckedContinuation<[String: String], any Error>)
        case answered
        /// Nobody waits for the answer any more.
        case withdrawn

        var waiter: CheckedContinuation<[String: String], any Error>? {
            if case .waiting(let waiter) = self { waiter } else { nil }
        }
    }

    private struct Asked {
        let number: Int
        let question: PendingQuestion
        var stand: Stand
    }

    private struct State {
        var asked: [Asked] = []
        var lastNumber = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Waits for the answer; throws when the turn ends, or the task that asks is cancelled.
    func ask(_ question: PendingQuestion) async throws -> [String: String] {
        let number = state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                let isClosed = state.withLock { state in
                    if state.isClosed || Task.isCancelled { return true }
                    state.asked.append(Asked(number: number, question: question, stand: .waiting(waiter)))
                    return false
                }
                if isClosed { waiter.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            withdraw { $0.number == number }
        }
    }

    /// - Parameter toolUseID: nil for the one that is pending now.
    func response(_ toolUseID: String?) -> QuestionResponse {
        state.withLock { state in
            let asked =
                if let toolUseID {
                    state.asked.last { $0.question.toolUseID == toolUseID }
                } else {
                    state.asked.first { $0.stand.waiter != nil }
                }
            return switch asked?.stand {
            case .waiting: QuestionResponse(status: "pending", question: asked?.question)
            case .answered: QuestionResponse(status: "answered", question: nil)
            case .withdrawn, nil: QuestionResponse(status: nil, question: nil)
            }
        }
    }

    /// Throws `notFound` when nobody asks.
    func answer(_ answer: AnswerRequest) throws {
        let waiter = state.withLock { state -> CheckedContinuation<[String: String], any Error>? in
            let index = state.asked.firstIndex { $0.question.toolUseID == answer.toolUseID && $0.stand.waiter != nil }
            guard let index else { return nil }
            defer { state.asked[index].stand = .answered }
            return state.asked[index].stand.waiter
        }
        guard let waiter else { throw ServerError.notFound("no pending question for this toolUseID") }
        waiter.resume(returning: answer.answers)
    }

    /// Whoever waits gets no answer any more.
    func close() {
        state.withLock { $0.isClosed = true }
        withdraw { _ in true }
    }

    private func withdraw(where isMeant: (Asked) -> Bool) {
        let waiters = state.withLock { state in
            state.asked.indices.compactMap { index -> CheckedContinuation<[String: String], any Error>? in
                guard let waiter = state.asked[index].stand.waiter, isMeant(state.asked[index]) else { return nil }
                state.asked[index].stand = .withdrawn
                return waiter
            }
        }
        for waiter in waiters { waiter.resume(throwing: CancellationError()) }
    }
}
