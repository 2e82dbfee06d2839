// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Permissions that the program has asked for and does not want any more.
final class ClaudeCodeWithdrawals: Sendable {
    private struct State {
        var withdrawn: Set<String> = []
        var waiting: [String: AsyncStream<Void>.Continuation] = [:]
    }

    private let state = Mutex(State())

    func withdraw(_ requestID: String) {
        state.withLock { state in
            state.withdrawn.insert(requestID)
            return state.waiting.removeValue(forKey: requestID)
        }?.finish()
    }

    /// Runs `body` until the request is withdrawn, and nil then.
    func unlessWithdrawn<Value: Sendable>(
        _ requestID: String,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let (end, continuation) = AsyncStream.makeStream(of: Void.self)
        let isWithdrawn = state.withLock { state in
            if state.withdrawn.contains(requestID) { return true }
            state.waiting[requestID] = continuation
            return false
        }
        guard !isWithdrawn else { return nil }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in end {}
                try Task.checkCancellation()
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
