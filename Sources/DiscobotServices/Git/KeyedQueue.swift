// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// Lets one body at a time run for each key, in the order of arrival.
///
/// An actor's method may be entered again at each `await`, so being an actor alone would not keep bodies apart.
actor KeyedQueue<Key: Hashable & Sendable> {
    private static var maximumWaiters: Int { 64 }

    /// The callers that wait for each key that is taken.
    private var waiters: [Key: [CheckedContinuation<Void, Never>]] = [:]

    /// Runs `body` when the key is free; throws `unavailable` when too many wait already.
    nonisolated func run<Value: Sendable>(
        _ key: Key,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        try await take(key)
        do {
            try Task.checkCancellation()
            let value = try await body()
            await release(key)
            return value
        } catch {
            await release(key)
            throw error
        }
    }

    private func take(_ key: Key) async throws {
        guard let waiting = waiters[key] else {
            waiters[key] = []
            return
        }
        guard waiting.count < Self.maximumWaiters else {
            throw ServerError(.unavailable, "too many requests wait for this workspace; try again later")
        }
        await withCheckedContinuation { waiters[key]?.append($0) }
    }

    private func release(_ key: Key) {
        guard let waiting = waiters[key], !waiting.isEmpty else {
            waiters[key] = nil
            return
        }
        waiters[key]?.removeFirst().resume()
    }
}
