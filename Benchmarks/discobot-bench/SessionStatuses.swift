// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Synchronization

/// What the project's events tell of sessions, with the time at which it came: asking again and again would take the
/// machine's time from what is measured.
final class SessionStatuses: Sendable {
    private struct News: Decodable {
        struct Details: Decodable {
            let sessionId: String?
            let status: String?
        }

        let data: Details
    }

    private struct Waiter {
        let session: String
        let status: String
        let start: ContinuousClock.Instant
        let continuation: CheckedContinuation<ContinuousClock.Instant, any Error>

        /// Goes on when what it waits for has come.
        func isDone(_ times: [String: ContinuousClock.Instant]) -> Bool {
            if let time = times[status], time >= start {
                continuation.resume(returning: time)
            } else if let time = times["error"], time >= start {
                continuation.resume(throwing: ValidationError("the session \(session) has failed"))
            } else {
                return false
            }
            return true
        }
    }

    private struct State {
        /// When each session became what.
        var times: [String: [String: ContinuousClock.Instant]] = [:]
        var waiters: [Waiter] = []
        var isOver = false
    }

    private let state = Mutex(State())

    /// When a session became this, at or after `start`. Throws when it fails instead, and when the caller gives up.
    func time(
        of session: String,
        becoming status: String,
        since start: ContinuousClock.Instant
    ) async throws -> ContinuousClock.Instant {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let waiter = Waiter(session: session, status: status, start: start, continuation: continuation)
                state.withLock { state in
                    if state.isOver { return continuation.resume(throwing: Self.ended) }
                    if !waiter.isDone(state.times[session] ?? [:]) { state.waiters.append(waiter) }
                }
            }
        } onCancel: {
            end()
        }
    }

    func read(_ line: Substring) {
        guard line.hasPrefix("data: "),
            let news = try? JSONDecoder().decode(News.self, from: Data(line.dropFirst(6).utf8)),
            let session = news.data.sessionId, let status = news.data.status
        else { return }
        state.withLock { state in
            state.times[session, default: [:]][status] = .now
            let times = state.times[session] ?? [:]
            state.waiters.removeAll { $0.session == session && $0.isDone(times) }
        }
    }

    /// Nothing more comes.
    func end() {
        let waiters = state.withLock { state in
            state.isOver = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(throwing: Self.ended) }
    }

    private static let ended = ValidationError("the stream of events has ended")
}
