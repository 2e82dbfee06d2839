// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import NIOCore
import Synchronization

/// One reader's place in a project's events; iterate it for wake-ups and ask the broker for what is new.
package final class EventSubscription: AsyncSequence, Sendable {
    private struct State {
        var position: Int64
        /// Whether the reader has all there was and waits: nothing of its own is on the way to the client.
        var isWaiting = false
        var isFinished = false
        var lastSent = ContinuousClock.now
    }

    package let project: ID<Project>
    /// Whether events between the wanted start and the first one handed out are no longer kept.
    package let isReset: Bool
    let connection: (any EventConnection)?
    private let state: Mutex<State>
    private let wakeUps: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(project: ID<Project>, after sequence: Int64, isReset: Bool, connection: (any EventConnection)?) {
        self.project = project
        self.isReset = isReset
        self.connection = connection
        state = Mutex(State(position: sequence))
        (wakeUps, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
    }

    /// The number of the last event that was handed out.
    package var position: Int64 { state.withLock(\.position) }

    package func makeAsyncIterator() -> AsyncStream<Void>.Iterator {
        wakeUps.makeAsyncIterator()
    }

    /// Whether nothing has been sent for `interval`; then something should be, and counts as sent from now on.
    package func takeSilence(of interval: Duration) -> Bool {
        state.withLock { state in
            guard state.lastSent.duration(to: .now) >= interval else { return false }
            state.lastSent = .now
            return true
        }
    }

    /// Whether the reader has been silent for `interval`.
    func isSilent(for interval: Duration) -> Bool {
        state.withLock { $0.lastSent.duration(to: .now) >= interval }
    }

    /// From here on the reader itself sends, beginning after the position that is returned.
    func beginReading() -> Int64 {
        state.withLock { state in
            state.isWaiting = false
            return state.position
        }
    }

    /// What the reader sends now goes up to `sequence`; nil when there is nothing.
    func endReading(at sequence: Int64?) {
        state.withLock { state in
            state.isWaiting = sequence == nil
            guard let sequence else { return }
            state.position = sequence
            state.lastSent = .now
        }
    }

    /// Sends a chunk to a reader that waits for just these; any other is woken, and asks for what it lacks.
    ///
    /// Only on the loop of the connection, where the reader writes as well, so that the two never cross.
    func deliver(_ chunk: ByteBuffer, after first: Int64, through last: Int64, at now: ContinuousClock.Instant) {
        let isSent = state.withLock { state in
            guard state.isWaiting, !state.isFinished, state.position == first,
                let connection, connection.send(chunk)
            else { return false }
            state.position = last
            state.lastSent = now
            return true
        }
        if !isSent { wake() }
    }

    func wake() {
        continuation.yield()
    }

    /// Ends the sequence; nothing is delivered any more.
    package func finish() {
        state.withLock { $0.isFinished = true }
        continuation.finish()
    }
}

/// The connection of a reader, for events that need not wait until the reader's task has its turn.
package protocol EventConnection: AnyObject, Sendable {
    /// Connections with the same loop get events together.
    var loop: ObjectIdentifier { get }

    func onLoop(_ work: @escaping @Sendable () -> Void)
    /// Frames as all connections of this kind send them.
    static func chunk(of frames: [UInt8]) -> ByteBuffer
    /// Sends a chunk, unless the client has not taken enough of what it was sent. Only on the loop.
    func send(_ chunk: ByteBuffer) -> Bool
}
