// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
import ServiceLifecycle
import Synchronization

/// Wakes those who follow turns: after each commit that changed one, and now and then to keep their connections alive.
///
/// It carries wake-ups only. Each follower reads the log after its own position, so nothing is lost for a slow one and
/// nothing piles up.
package final class TurnFeed: Service {
    private typealias Followers = [ObjectIdentifier: TurnSubscription]

    private let idleInterval: Duration
    private let followers = Mutex<[ID<Turn>: Followers]>([:])

    /// - Parameter idleInterval: how often followers are woken although nothing is new.
    package init(store: Store, idleInterval: Duration = .seconds(15)) {
        self.idleInterval = idleInterval
        store.changes.listen { [weak self] news in self?.hear(news) }
    }

    package func run() async throws {
        await withGracefulShutdownHandler {
            while !Task.isShuttingDownGracefully {
                do {
                    try await cancelWhenGracefulShutdown { [idleInterval] in try await Task.sleep(for: idleInterval) }
                } catch {
                    return
                }
                for follower in all { follower.wake() }
            }
        } onGracefulShutdown: {
            for follower in self.all { follower.finish() }
        }
    }

    /// Follows a turn; end it with `unsubscribe`.
    package func subscribe(to turn: ID<Turn>, for interest: TurnSubscription.Interest) -> TurnSubscription {
        let subscription = TurnSubscription(turn: turn, interest: interest)
        followers.withLock { $0[turn, default: [:]][ObjectIdentifier(subscription)] = subscription }
        return subscription
    }

    package func unsubscribe(_ subscription: TurnSubscription) {
        followers.withLock { followers in
            followers[subscription.turn]?[ObjectIdentifier(subscription)] = nil
            if followers[subscription.turn]?.isEmpty == true { followers[subscription.turn] = nil }
        }
        subscription.finish()
    }

    private func hear(_ news: StoreNews) {
        guard !news.turns.isEmpty || !news.cancelledTurns.isEmpty else { return }
        let woken = followers.withLock { followers in
            news.turns.flatMap { followers[$0, default: [:]].values.filter { $0.interest == .progress } }
                + news.cancelledTurns.flatMap { followers[$0, default: [:]].values }
        }
        for follower in woken { follower.wake() }
    }

    private var all: [TurnSubscription] { followers.withLock { $0.values.flatMap(\.values) } }
}

/// One follower of a turn; iterate it for wake-ups, the first of which comes at once.
package final class TurnSubscription: AsyncSequence, Sendable {
    package enum Interest: Sendable {
        /// New chunks, and the end.
        case progress
        /// That somebody wants the turn stopped.
        case cancellation
    }

    package let turn: ID<Turn>
    let interest: Interest
    private let wakeUps: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(turn: ID<Turn>, interest: Interest) {
        self.turn = turn
        self.interest = interest
        (wakeUps, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
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
