// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// Lets one operation at a time run on each session's sandbox, in the order of arrival.
package actor SandboxQueue {
    /// The callers that wait for each sandbox that is taken.
    private var waiters: [ID<Session>: [CheckedContinuation<Void, Never>]] = [:]

    private let maximumWaiters: Int

    /// - Parameter maximumWaiters: how many may wait for one sandbox.
    package init(maximumWaiters: Int = 64) {
        self.maximumWaiters = maximumWaiters
    }

    /// Runs `body` when the sandbox is free; throws `SandboxError` when too many wait already.
    package nonisolated func run<Value: Sendable>(
        _ id: ID<Session>,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        try await take(id)
        do {
            try Task.checkCancellation()
            let value = try await body()
            await release(id)
            return value
        } catch {
            await release(id)
            throw error
        }
    }

    private func take(_ id: ID<Session>) async throws {
        guard let waiting = waiters[id] else {
            waiters[id] = []
            return
        }
        guard waiting.count < maximumWaiters else {
            throw SandboxError(.unavailable, "too many requests wait for this sandbox; try again later")
        }
        await withCheckedContinuation { waiters[id]?.append($0) }
    }

    private func release(_ id: ID<Session>) {
        guard let waiting = waiters[id], !waiting.isEmpty else {
            waiters[id] = nil
            return
        }
        waiters[id]?.removeFirst().resume()
    }
}
