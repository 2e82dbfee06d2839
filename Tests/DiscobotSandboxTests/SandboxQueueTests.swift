// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization
import Testing

@testable import DiscobotSandbox

/// Who waits for whom.
@Suite(.timeLimit(.minutes(10)))
struct SandboxQueueTests {
    private struct Failed: Error {}

    private static let id: ID<Session> = "a"

    private final class Begun: Sendable {
        let state = Mutex<(order: [Int], running: Int, most: Int)>(([], 0, 0))
    }

    /// Runs operations one after another has begun to wait, and returns the order in which they began and what the most
    /// of them at once were.
    private func run(_ count: Int, atMost limit: Int, failing: Bool = false) async throws -> (order: [Int], most: Int) {
        let queue = SandboxQueue()
        let begun = Begun()
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (gate, opening) = AsyncStream.makeStream(of: Void.self)
            for number in 0..<count {
                let (arrival, arrived) = AsyncStream.makeStream(of: Void.self)
                group.addTask {
                    arrived.finish()
                    try? await queue.run(Self.id, atMost: limit) {
                        begun.state.withLock { state in
                            state.order.append(number)
                            state.running += 1
                            state.most = max(state.most, state.running)
                        }
                        // Goes on when all have come.
                        for await _ in gate {}
                        begun.state.withLock { $0.running -= 1 }
                        if failing { throw Failed() }
                    }
                }
                for await _ in arrival {}
                while await queue.count(of: Self.id) <= number { await Task.yield() }
            }
            opening.finish()
            try await group.waitForAll()
        }
        #expect(await queue.count(of: Self.id) == 0)
        return begun.state.withLock { ($0.order, $0.most) }
    }

    @Test(arguments: [1, 3, 10], [false, true])
    func `so many run at once, in the order of arrival`(limit: Int, failing: Bool) async throws {
        let (order, most) = try await run(10, atMost: limit, failing: failing)
        #expect(order.count == 10 && most == limit)
        // Those that begin at once may do so in any order.
        #expect(Set(order.prefix(limit)) == Set(0..<limit))
        if limit == 1 { #expect(order == Array(0..<10)) }
    }

    @Test
    func `others are not waited for`() async throws {
        let queue = SandboxQueue()
        try await queue.run("a") {
            try await queue.run("b") {}
        }
    }

    @Test
    func `too many are refused`() async throws {
        let queue = SandboxQueue(maximumWaiters: 0)
        try await queue.run("a") {
            let error = await #expect(throws: SandboxError.self) { try await queue.run("a") {} }
            #expect(error?.code == .unavailable)
        }
    }
}

extension SandboxQueue {
    /// Who runs or waits.
    fileprivate func count(of id: ID<Session>) -> Int {
        lines[id].map { $0.running + $0.waiters.count } ?? 0
    }
}
