// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// Lets one operation at a time run on each session's sandbox, or a few of one kind, in the order of arrival.
package actor SandboxQueue {
    struct Line {
        var running = 1
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Of each sandbox that is taken.
    private(set) var lines: [ID<Session>: Line] = [:]

    private let maximumWaiters: Int

    /// - Parameter maximumWaiters: how many may wait for one sandbox.
    package init(maximumWaiters: Int = 64) {
        self.maximumWaiters = maximumWaiters
    }

    /// Runs `body` when the sandbox is free; throws `SandboxError` when too many wait already.
    ///
    /// - Parameter limit: how many run at once; all who name the same sandbox say the same.
    package nonisolated func run<Value: Sendable>(
        _ id: ID<Session>,
        atMost limit: Int = 1,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        try await take(id, limit)
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

    private func take(_ id: ID<Session>, _ limit: Int) async throws {
        guard let line = lines[id] else {
            lines[id] = Line()
            return
        }
        if line.running < limit, line.waiters.isEmpty {
            lines[id]?.running += 1
            return
        }
        guard line.waiters.count < maximumWaiters else {
            throw SandboxError(.unavailable, "too many requests wait for this sandbox; try again later")
        }
        await withCheckedContinuation { lines[id]?.waiters.append($0) }
    }

    private func release(_ id: ID<Session>) {
        guard let line = lines[id] else { return }
        if !line.waiters.isEmpty {
            lines[id]?.waiters.removeFirst().resume()
        } else if line.running > 1 {
            lines[id]?.running -= 1
        } else {
            lines[id] = nil
        }
    }
}
