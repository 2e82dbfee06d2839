// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization

/// Tells something that takes long from something that hangs.
final class LifeSign: Sendable {
    private let last = Mutex(ContinuousClock.now)

    func give() { last.withLock { $0 = .now } }

    /// Runs `body`; throws `DockerError` when it has given no sign for `silence`.
    func watch(within silence: Duration, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask { try await self.listen(silence) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func listen(_ silence: Duration) async throws {
        while case let end = last.withLock({ $0 }) + silence, end > .now {
            try await Task.sleep(upTo: ContinuousClock.now.duration(to: end))
        }
        throw DockerError(.timedOut, "nothing came for \(silence.components.seconds) s")
    }
}
