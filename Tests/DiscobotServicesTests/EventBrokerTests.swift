// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

@testable import DiscobotServices

@Suite(.timeLimit(.minutes(10)))
struct EventBrokerTests {
    private static let project: ID<Project> = "p"

    private struct Fixture: Sendable {
        let store: Store
        let broker: EventBroker

        func append(_ count: Int) async throws {
            for _ in 0..<count {
                try await store.write { try $0.append(.workspaceUpdated("w", .ready), to: project) }
            }
        }

        /// Reads until the event with this number has come; returns all numbers in the order they came.
        func read(_ subscription: EventSubscription, through last: Int64) async throws -> [Int64] {
            var numbers: [Int64] = []
            for await _ in subscription {
                while case let bytes = try await broker.next(subscription), !bytes.isEmpty {
                    let text = String(decoding: bytes, as: UTF8.self)
                    numbers += text.split(separator: ",").compactMap { Int64($0) }
                    if numbers.last == last { return numbers }
                }
            }
            return numbers
        }
    }

    private func withBroker(
        idleInterval: Duration = .seconds(15),
        _ body: @escaping @Sendable (Fixture) async throws -> Void
    ) async throws {
        try await StoreBackend.sqlite.withStore { store in
            let now = Timestamp.now
            let project = Project(id: Self.project, name: "P", slug: "p", createdAt: now, updatedAt: now)
            try await store.write { transaction in
                try transaction.seed(.anonymous, providerID: "anonymous")
                try transaction.insert(project, owner: User.anonymous.id)
            }
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let broker = EventBroker(store: store, logger: logger, idleInterval: idleInterval) {
                Array("\($0.sequence),".utf8)
            }
            let group = ServiceGroup(configuration: .init(services: [broker], logger: logger))
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                try await body(Fixture(store: store, broker: broker))
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
            }
        }
    }

    @Test
    func `a reader gets every event once, in order, while they are written`() async throws {
        try await withBroker { fixture in
            try await fixture.append(10)
            let subscription = try await fixture.broker.subscribe(to: Self.project, from: .oldest)
            async let numbers = fixture.read(subscription, through: 400)
            try await fixture.append(390)
            #expect(try await numbers == Array(1...400))
            fixture.broker.unsubscribe(subscription)
        }
    }

    @Test
    func `a reader that falls behind what is kept in memory loses nothing`() async throws {
        try await withBroker { fixture in
            let quick = try await fixture.broker.subscribe(to: Self.project, from: .now)
            let slow = try await fixture.broker.subscribe(to: Self.project, from: .now)
            async let read = fixture.read(quick, through: 600)
            try await fixture.append(600)
            #expect(try await read.count == 600)
            #expect(try await fixture.read(slow, through: 600) == Array(1...600))
        }
    }

    @Test
    func `a hundred readers each get all`() async throws {
        try await withBroker { fixture in
            try await withThrowingTaskGroup(of: [Int64].self) { group in
                for _ in 0..<100 {
                    let subscription = try await fixture.broker.subscribe(to: Self.project, from: .now)
                    group.addTask { try await fixture.read(subscription, through: 50) }
                }
                try await fixture.append(50)
                for try await numbers in group { #expect(numbers == Array(1...50)) }
            }
        }
    }

    @Test
    func `begins where it is asked to`() async throws {
        try await withBroker { fixture in
            try await fixture.append(5)
            let starts: [(EventStart, Int64, Bool)] = [
                (.now, 5, false), (.oldest, 0, false), (.after(eventID: "3"), 3, false),
                (.after(eventID: "0"), 0, false),
                (.after(eventID: "6"), 0, true), (.after(eventID: "nonsense"), 0, true),
                (.since(Timestamp(milliseconds: 0)), 0, false),
                (.since(Timestamp.now.advanced(by: .seconds(60))), 5, false),
            ]
            for (start, position, isReset) in starts {
                let subscription = try await fixture.broker.subscribe(to: Self.project, from: start)
                #expect(subscription.position == position, "\(start)")
                #expect(subscription.isReset == isReset, "\(start)")
                fixture.broker.unsubscribe(subscription)
            }
        }
    }

    @Test
    func `readers end when the server stops`() async throws {
        let (subscriptions, continuation) = AsyncStream.makeStream(of: EventSubscription.self)
        try await withBroker { fixture in
            continuation.yield(try await fixture.broker.subscribe(to: Self.project, from: .now))
        }
        continuation.finish()
        for await subscription in subscriptions {
            for await _ in subscription {}
        }
    }

    @Test
    func `each event comes once and in order, by the connection or by the reader`() async throws {
        try await withBroker { fixture in
            let connection = Connection()
            let subscription = try await fixture.broker.subscribe(
                to: Self.project,
                from: .now,
                connection: connection
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in subscription {
                        while case let frames = try await fixture.broker.next(subscription), !frames.isEmpty {
                            connection.log(frames, isDirect: false)
                        }
                    }
                }
                for number in 1...300 {
                    connection.isOpen.withLock { $0 = number % 20 < 15 }
                    try await fixture.append(1)
                    // Some one by one, some while others are still on their way.
                    if number % 40 < 20 { await connection.wait(for: Int64(number)) }
                }
                await connection.wait(for: 300)
                fixture.broker.unsubscribe(subscription)
                try await group.waitForAll()
            }
            #expect(connection.numbers == Array(1...300))
            #expect(connection.directCount > 0)
            #expect(connection.directCount < 300)
        }
    }

    @Test
    func `a reader that has ended gets nothing on its connection`() async throws {
        try await withBroker { fixture in
            let connection = Connection()
            let ended = try await fixture.broker.subscribe(to: Self.project, from: .now, connection: connection)
            let other = try await fixture.broker.subscribe(to: Self.project, from: .now)
            #expect(try await fixture.broker.next(ended).isEmpty)
            ended.finish()
            try await fixture.append(3)
            #expect(try await fixture.read(other, through: 3) == [1, 2, 3])
            fixture.broker.unsubscribe(ended)
            #expect(connection.numbers.isEmpty)
        }
    }

    @Test
    func `a silent reader is woken to send a comment, and no other`() async throws {
        try await withBroker(idleInterval: .milliseconds(20)) { fixture in
            let subscription = try await fixture.broker.subscribe(to: Self.project, from: .now)
            var silences = 0
            for await _ in subscription where subscription.takeSilence(of: fixture.broker.idleInterval) {
                silences += 1
                if silences == 3 { break }
            }
            #expect(silences == 3)
            #expect(!subscription.takeSilence(of: .seconds(15)))
        }
    }
}

/// Keeps what it is sent, and what its reader sends by itself.
private final class Connection: EventConnection {
    private let sent = Mutex<(numbers: [Int64], directCount: Int)>(([], 0))
    private let changes = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let isOpen = Mutex(true)

    var loop: ObjectIdentifier { ObjectIdentifier(self) }
    var numbers: [Int64] { sent.withLock(\.numbers) }
    var directCount: Int { sent.withLock(\.directCount) }

    func onLoop(_ work: @escaping @Sendable () -> Void) { work() }
    static func chunk(of frames: [UInt8]) -> ByteBuffer { ByteBuffer(bytes: frames) }
    func send(_ chunk: ByteBuffer) -> Bool {
        guard isOpen.withLock({ $0 }) else { return false }
        log(Array(chunk.readableBytesView), isDirect: true)
        return true
    }

    func log(_ frames: [UInt8], isDirect: Bool) {
        sent.withLock { sent in
            let text = String(decoding: frames, as: UTF8.self)
            sent.numbers += text.split(separator: ",").compactMap { Int64($0) }
            if isDirect { sent.directCount += 1 }
        }
        changes.continuation.yield()
    }

    func wait(for number: Int64) async {
        if numbers.contains(number) { return }
        for await _ in changes.stream where numbers.contains(number) { return }
    }
}
