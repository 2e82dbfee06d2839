// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import Synchronization

/// What a committed transaction changed, as far as others wait for it.
package struct StoreNews: Sendable, Equatable {
    /// Projects with new events.
    package var projects: Set<ID<Project>> = []
    /// Whether a job was added or released.
    package var hasJobs = false
    /// Running jobs that somebody wants stopped.
    package var cancelledJobs: Set<ID<Job>> = []
    /// Turns with new chunks or a new status.
    package var turns: Set<ID<Turn>> = []
    /// Turns that somebody wants stopped, or that have ended.
    package var cancelledTurns: Set<ID<Turn>> = []

    var isEmpty: Bool { self == StoreNews() }
}

/// Calls its listeners after each commit that brought news; listeners must be quick and not block.
package final class ChangeFeed: Sendable {
    private let listeners = Mutex<[@Sendable (StoreNews) -> Void]>([])

    /// Adds a listener for the life of the process.
    package func listen(_ listener: @escaping @Sendable (StoreNews) -> Void) {
        listeners.withLock { $0.append(listener) }
    }

    func publish(_ news: StoreNews) {
        guard !news.isEmpty else { return }
        for listener in listeners.withLock({ $0 }) { listener(news) }
    }
}
