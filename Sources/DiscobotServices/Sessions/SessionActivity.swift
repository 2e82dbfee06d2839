// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
package import Logging
import ServiceLifecycle
import Synchronization

/// Notes that somebody uses a session, its files, services, hooks or terminal, which keeps its sandbox from being stopped as
/// idle.
package final class SessionActivity: Service, CustomStringConvertible {
    private struct State {
        /// Connections that are open.
        var open: [ID<Session>: Int] = [:]
        /// When it was noted last.
        var noted: [ID<Session>: ContinuousClock.Instant] = [:]
    }

    private static let interval = Duration.seconds(60)

    private let store: Store
    private let logger: Logger
    private let state = Mutex(State())

    package init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    package var description: String { "use of sessions" }

    /// Notes what is open every minute.
    package func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while true {
                try await Task.sleep(for: Self.interval)
                let sessions = self.state.withLock { state in
                    let now = ContinuousClock.now
                    state.noted = state.noted.filter { now - $0.value < Self.interval }
                    return Array(state.open.keys)
                }
                for session in sessions { await self.touch(session) }
            }
        }
    }

    /// At most once a minute for each session.
    package func touch(_ session: ID<Session>) async {
        let isDue = state.withLock { state in
            let now = ContinuousClock.now
            if let last = state.noted[session], now - last < Self.interval { return false }
            state.noted[session] = now
            return true
        }
        guard isDue else { return }
        do {
            try await store.write { try $0.noteUse(of: session, at: .now) }
        } catch {
            logger.warning("the use of a session was not noted", metadata: ["error": "\(error)"])
        }
    }

    /// Notes the use of a session, also for as long as `body` takes.
    func during<Value>(_ session: ID<Session>, _ body: () async throws -> Value) async rethrows -> Value {
        await touch(session)
        let end = begin(session)
        defer { end() }
        return try await body()
    }

    /// Something that goes on is open from now on, until what is returned is called.
    package func begin(_ session: ID<Session>) -> @Sendable () -> Void {
        state.withLock { $0.open[session, default: 0] += 1 }
        return {
            self.state.withLock { state in
                let count = (state.open[session] ?? 1) - 1
                state.open[session] = count > 0 ? count : nil
            }
        }
    }
}
