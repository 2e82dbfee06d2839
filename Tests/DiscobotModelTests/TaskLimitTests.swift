// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Testing

/// Limits of what usually ends before.
@Suite(.timeLimit(.minutes(10)))
struct TaskLimitTests {
    @Test func `a limit is not over before its time`() async throws {
        let start = ContinuousClock.now
        try await Task.sleep(upTo: .milliseconds(200), step: .milliseconds(20))
        #expect(start.duration(to: .now) >= .milliseconds(200))
    }

    @Test func `a limit that is cancelled ends at once`() async throws {
        let (begun, signal) = AsyncStream.makeStream(of: Void.self)
        let limit = Task {
            signal.yield()
            try await Task.sleep(upTo: .seconds(24 * 3600))
        }
        for await _ in begun { break }
        limit.cancel()
        await #expect(throws: CancellationError.self) { try await limit.value }
    }
}
