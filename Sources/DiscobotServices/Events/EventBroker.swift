// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
package import Logging
import ServiceLifecycle
import Synchronization

/// Brings a project's events to its readers: one look at the database for each commit, however many readers there are.
///
/// A reader asks for what comes after its last number. Readers at the end of the log get the newest events from memory,
/// on their connections and all of an event loop in one go; one that has fallen behind, or whose client is slow, is
/// woken and reads by itself. So nothing is lost and nothing piles up for slow readers.
package final class EventBroker: Service {
    /// Readers that hear nothing for this long should send a comment, to keep their connections alive.
    package let idleInterval: Duration

    private let store: Store
    private let encode: @Sendable (Event) -> [UInt8]
    private let logger: Logger
    private let feeds = Mutex<[ID<Project>: ProjectFeed]>([:])
    private let news: AsyncStream<Void>
    private let newsContinuation: AsyncStream<Void>.Continuation

    /// - Parameter encode: makes of an event what readers send to their clients; done once for all readers.
    package init(
        store: Store,
        logger: Logger,
        idleInterval: Duration = .seconds(15),
        encode: @escaping @Sendable (Event) -> [UInt8]
    ) {
        self.store = store
        self.idleInterval = idleInterval
        self.encode = encode
        self.logger = logger
        (news, newsContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        store.changes.listen { [weak self] news in self?.hear(news) }
    }

    package func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.wakeIdleReaders() }
                for await _ in news { await self.readNews() }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.newsContinuation.finish()
            self.endSubscriptions()
        }
    }

    /// Follows a project; end it with `unsubscribe`. Throws `ServerError`.
    ///
    /// - Parameter connection: where events are sent without waking the reader, once it has caught up.
    package func subscribe(
        to project: ID<Project>,
        from start: EventStart,
        connection: (any EventConnection)? = nil
    ) async throws -> EventSubscription {
        let (position, newest, isReset) = try await store.read { transaction in
            let bounds = try transaction.eventBounds(of: project)
            let (position, isReset) = try start.position(in: transaction, project: project, bounds: bounds)
            return (position, bounds.newest, isReset)
        }
        let subscription = EventSubscription(
            project: project,
            after: position,
            isReset: isReset,
            connection: connection
        )
        feeds.withLock { $0[project, default: ProjectFeed(last: newest)].add(subscription) }
        // What was committed since the look at the database.
        newsContinuation.yield()
        return subscription
    }

    /// Events of a project, oldest first; throws `ServerError`.
    package func list(of project: ID<Project>, from start: EventStart, limit: Int) async throws -> [Event] {
        try await store.read { transaction in
            let bounds = try transaction.eventBounds(of: project)
            let position = try start.position(in: transaction, project: project, bounds: bounds).sequence
            return try transaction.events(of: project, after: position, limit: limit)
        }
    }

    package func unsubscribe(_ subscription: EventSubscription) {
        feeds.withLock { feeds in
            feeds[subscription.project]?.remove(subscription)
            if feeds[subscription.project]?.isEmpty == true { feeds[subscription.project] = nil }
        }
        subscription.finish()
    }

    /// The encoded events after the subscription's position, which moves on; at most 256 events at once.
    package func next(_ subscription: EventSubscription) async throws -> [UInt8] {
        let position = subscription.beginReading()
        let recent = feeds.withLock { $0[subscription.project]?.recent(after: position) }
        let encoded: [EncodedEvent]
        if let recent {
            encoded = recent
        } else {
            encoded = try await store.read { transaction in
                try transaction.events(of: subscription.project, after: position, limit: ProjectFeed.capacity)
            }.map { EncodedEvent(sequence: $0.sequence, bytes: encode($0)) }
        }
        subscription.endReading(at: encoded.last?.sequence)
        return encoded.count == 1 ? encoded[0].bytes : encoded.flatMap(\.bytes)
    }

    private func hear(_ storeNews: StoreNews) {
        let followed = feeds.withLock { feeds in
            var isFollowed = false
            for project in storeNews.projects where feeds[project] != nil {
                feeds[project]?.hasNews = true
                isFollowed = true
            }
            return isFollowed
        }
        if followed { newsContinuation.yield() }
    }

    private func readNews() async {
        let positions = feeds.withLock { feeds in
            feeds.keys.reduce(into: [ID<Project>: Int64]()) { positions, project in
                positions[project] = feeds[project]?.takeNews()
            }
        }
        for (project, position) in positions {
            do {
                try await readNews(of: project, after: position)
            } catch {
                // Tried again when idle readers are woken.
                feeds.withLock { $0[project]?.hasNews = true }
                logger.error("reading events failed", metadata: ["project": "\(project)", "error": "\(error)"])
            }
        }
    }

    private func readNews(of project: ID<Project>, after position: Int64) async throws {
        let (events, isGone) = try await store.read { transaction in
            let events = try transaction.events(of: project, after: position, limit: ProjectFeed.capacity)
            return (events, try events.isEmpty && transaction.project(project) == nil)
        }
        // Nobody may follow a project that has been removed.
        if isGone { return endSubscriptions(to: project) }
        let encoded = events.map { EncodedEvent(sequence: $0.sequence, bytes: encode($0)) }
        let readers = feeds.withLock { feeds in
            feeds[project]?.append(encoded)
            // A full page may not be all.
            if encoded.count == ProjectFeed.capacity { feeds[project]?.hasNews = true }
            return feeds[project]?.readers ?? []
        }
        if encoded.count == ProjectFeed.capacity { newsContinuation.yield() }
        deliver(encoded, after: position, to: readers)
    }

    private func deliver(
        _ events: [EncodedEvent],
        after position: Int64,
        to readers: [ProjectFeed.Readers]
    ) {
        guard let last = events.last?.sequence else {
            for reader in readers.joined() { reader.wake() }
            return
        }
        let frames = events.flatMap(\.bytes)
        for readers in readers {
            guard let connection = readers.first?.connection else {
                for reader in readers { reader.wake() }
                continue
            }
            let chunk = type(of: connection).chunk(of: frames)
            connection.onLoop {
                let now = ContinuousClock.now
                for reader in readers { reader.deliver(chunk, after: position, through: last, at: now) }
            }
        }
    }

    private func wakeIdleReaders() async {
        while true {
            do { try await Task.sleep(for: min(idleInterval, .seconds(1))) } catch { return }
            newsContinuation.yield()
            for reader in feeds.withLock({ $0.values.flatMap(\.subscriptions) })
            where reader.isSilent(for: idleInterval) {
                reader.wake()
            }
        }
    }

    private func endSubscriptions(to project: ID<Project>) {
        for reader in feeds.withLock({ $0[project]?.subscriptions ?? [] }) { reader.finish() }
    }

    private func endSubscriptions() {
        for reader in feeds.withLock({ $0.values.flatMap(\.subscriptions) }) { reader.finish() }
    }
}
