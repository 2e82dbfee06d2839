// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import Synchronization

/// One reader's place in a project's events; iterate it for wake-ups and ask the broker for what is new.
package final class EventSubscription: AsyncSequence, Sendable {
    package let project: ID<Project>
    /// Whether events between the wanted start and the first one handed out are no longer kept.
    package let isReset: Bool
    private let lastSequence: Mutex<Int64>
    private let wakeUps: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(project: ID<Project>, after sequence: Int64, isReset: Bool) {
        self.project = project
        self.isReset = isReset
        lastSequence = Mutex(sequence)
        (wakeUps, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
    }

    /// The number of the last event that was handed out.
    package internal(set) var position: Int64 {
        get { lastSequence.withLock { $0 } }
        set { lastSequence.withLock { $0 = newValue } }
    }

    package func makeAsyncIterator() -> AsyncStream<Void>.Iterator {
        wakeUps.makeAsyncIterator()
    }

    func wake() {
        continuation.yield()
    }

    /// Ends the sequence.
    package func finish() {
        continuation.finish()
    }
}
