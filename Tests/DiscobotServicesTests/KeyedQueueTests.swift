// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

@testable import DiscobotServices

@Suite(.timeLimit(.minutes(10)))
struct KeyedQueueTests {
    @Test
    func `bodies of one key never overlap and all run`() async throws {
        let queue = KeyedQueue<String>()
        let room = Room()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask { try await queue.run("key") { try await room.visit() } }
            }
            try await group.waitForAll()
        }
        #expect(room.most == 1)
        #expect(room.visits == 50)
    }

    @Test
    func `a body of another key need not wait`() async throws {
        let queue = KeyedQueue<String>()
        try await queue.run("a") {
            let value = try await queue.run("b") { 7 }
            #expect(value == 7)
        }
    }

    @Test
    func `a failure lets the next one in`() async throws {
        struct Broken: Error {}
        let queue = KeyedQueue<String>()
        await #expect(throws: Broken.self) { try await queue.run("a") { throw Broken() } }
        #expect(try await queue.run("a") { true })
    }

    @Test
    func `a cancelled waiter gives its turn away`() async throws {
        let queue = KeyedQueue<String>()
        let gate = Gate()
        let first = Task { try await queue.run("a") { await gate.wait() } }
        let second = Task { try await queue.run("a") { Issue.record("a cancelled body ran") } }
        second.cancel()
        await gate.open()
        try await first.value
        _ = await second.result
        #expect(try await queue.run("a") { true })
    }
}
