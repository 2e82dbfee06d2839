// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
package import Logging
import ServiceLifecycle
import Synchronization

/// What the server does in the background after its start, and the events that tell of it.
///
/// Tasks change as often as they like. Events carry the newest state only, and go to the projects at most once in each
/// `interval`, so nothing piles up.
package final class StartupTasks: Service, CustomStringConvertible {
    private struct State {
        /// In the order in which they have appeared.
        var tasks: [StartupTask] = []
        var published: [String: StartupTask] = [:]
    }

    private let store: Store
    private let logger: Logger
    private let interval: Duration
    private let state = Mutex(State())
    private let news: AsyncStream<Void>
    private let newsContinuation: AsyncStream<Void>.Continuation

    package init(store: Store, logger: Logger, interval: Duration = .seconds(1)) {
        self.store = store
        self.logger = logger
        self.interval = interval
        (news, newsContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package var description: String { "startup tasks" }

    package var all: [StartupTask] { state.withLock { $0.tasks } }

    /// Changes a task, which appears with its first change.
    package func update(_ id: String, name: String, _ change: (inout StartupTask) -> Void) {
        state.withLock { state in
            if let index = state.tasks.firstIndex(where: { $0.id == id }) {
                change(&state.tasks[index])
            } else {
                var task = StartupTask(id: id, name: name)
                change(&task)
                state.tasks.append(task)
            }
        }
        newsContinuation.yield()
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in self.news {
                let start = ContinuousClock.now
                await self.publish()
                // With very many projects an event takes its time, which others need to write as well.
                let pause = max(self.interval, (ContinuousClock.now - start) * 10)
                guard (try? await Task.sleep(for: pause)) != nil else { return }
            }
        }
    }

    private func publish() async {
        for task in state.withLock({ state in state.tasks.filter { state.published[$0.id] != $0 } }) {
            do {
                try await store.write { try $0.appendToAllProjects(.startupTaskUpdated(task)) }
                state.withLock { $0.published[task.id] = task }
            } catch {
                // The next change brings it; what the status call answers is right all the same.
                logger.error("telling of a startup task failed", metadata: ["task": "\(task.id)", "error": "\(error)"])
            }
        }
    }
}
