// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import DiscobotStore
package import Logging
import ServiceLifecycle

/// What sessions need now and then: sandboxes that nobody uses are stopped, and the chunks of old turns, whose messages
/// stay, are forgotten.
package struct SessionUpkeep: Service, CustomStringConvertible {
    package struct Settings: Sendable {
        /// How long a session may have nothing to do before its sandbox is stopped.
        package var idleTimeout: Duration = .seconds(30 * 60)
        package var checkInterval: Duration = .seconds(5 * 60)
        /// How long the answer of a turn can be streamed again.
        package var chunkRetention: Duration = .seconds(7 * 24 * 3600)

        package init() {}
    }

    private let store: Store
    private let jobs: JobQueue
    private let settings: Settings
    private let logger: Logger

    package init(store: Store, jobs: JobQueue, settings: Settings, logger: Logger) {
        self.store = store
        self.jobs = jobs
        self.settings = settings
        self.logger = logger
    }

    package var description: String { "session upkeep" }

    package func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while true {
                try await Task.sleep(for: settings.checkInterval)
                await logged { try await stopIdle() }
                await logged { try await forgetChunks() }
            }
        }
    }

    private func logged(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            logger.error("upkeep of sessions failed", metadata: ["error": "\(error)"])
        }
    }

    private func stopIdle() async throws {
        let time = Timestamp.now.advanced(by: .zero - settings.idleTimeout)
        try await store.write { transaction in
            for session in try transaction.idleSessions(since: time, limit: 100) {
                try jobs.enqueue(StopSessionJob.self, session, in: transaction)
            }
        }
    }

    private func forgetChunks() async throws {
        let time = Timestamp.now.advanced(by: .zero - settings.chunkRetention)
        // Some at a time, so that others can write in between.
        while try await store.write({ try $0.deleteChunks(endedBefore: time) }) > 0 {}
    }
}
