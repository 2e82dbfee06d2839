// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// An event as its readers send it.
struct EncodedEvent: Sendable {
    let sequence: Int64
    let bytes: [UInt8]
}

/// The newest events of one project and who follows them.
struct ProjectFeed {
    /// How many events are kept in memory; readers that are further behind use the database.
    static let capacity = 256

    /// Whether the database may have events that are not here yet.
    var hasNews = true
    /// Whether the database has been looked at since the first reader came.
    private var isPrimed = false
    private var events: [EncodedEvent] = []
    private var last: Int64
    /// By the loops of their connections, which get events together.
    private var loops: [ObjectIdentifier?: [ObjectIdentifier: EventSubscription]] = [:]

    /// A feed that knows of no event after `last` yet.
    init(last: Int64) {
        self.last = last
    }

    var isEmpty: Bool { loops.isEmpty }
    var subscriptions: [EventSubscription] { loops.values.flatMap(\.values) }

    typealias Readers = Dictionary<ObjectIdentifier, EventSubscription>.Values
    /// The subscriptions, those of a loop together.
    var readers: [Readers] { loops.values.map(\.values) }

    mutating func add(_ subscription: EventSubscription) {
        loops[subscription.connection?.loop, default: [:]][ObjectIdentifier(subscription)] = subscription
    }

    mutating func remove(_ subscription: EventSubscription) {
        let loop = subscription.connection?.loop
        loops[loop]?[ObjectIdentifier(subscription)] = nil
        if loops[loop]?.isEmpty == true { loops[loop] = nil }
    }

    /// The position to read the database from, once for each news; nil when there is none.
    mutating func takeNews() -> Int64? {
        guard hasNews else { return nil }
        hasNews = false
        isPrimed = true
        return last
    }

    /// Takes over events read after the feed's position.
    mutating func append(_ new: [EncodedEvent]) {
        let unseen = new.drop { $0.sequence <= last }
        guard let newest = unseen.last else { return }
        events.append(contentsOf: unseen)
        events.removeFirst(max(0, events.count - Self.capacity))
        last = newest.sequence
    }

    /// The events after `position`; nil when they are not all here.
    func recent(after position: Int64) -> [EncodedEvent]? {
        guard isPrimed else { return nil }
        if position == last { return [] }
        guard let oldest = events.first, oldest.sequence <= position + 1, position < last else { return nil }
        return events.suffix(while: { $0.sequence > position })
    }
}

extension Array {
    /// The longest suffix whose elements satisfy `predicate`.
    fileprivate func suffix(while predicate: (Element) -> Bool) -> [Element] {
        guard let end = lastIndex(where: { !predicate($0) }) else { return self }
        return Array(self[(end + 1)...])
    }
}
