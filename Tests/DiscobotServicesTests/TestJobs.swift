// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Logging
import ServiceLifecycle

@testable import DiscobotServices

/// A job whose work the test decides.
struct TestJob: JobHandler {
    struct Payload: Codable, Sendable {
        let name: String
    }

    static let kind: Job.Kind = "test"
    static let policy = JobPolicy(concurrency: 4)

    let work: @Sendable (String) async throws -> JobResult
    var givenUp: @Sendable (String) -> Void = { _ in }

    func run(_ payload: Payload) async throws -> JobResult { try await work(payload.name) }

    func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws { givenUp(reason) }
}

/// A dispatcher on a database of its own, with a project to send events to.
struct DispatcherFixture: Sendable {
    static let project: ID<Project> = "p"

    let store: Store
    private let jobs = JobQueue(maxAttempts: 3)

    /// Runs `body` beside a dispatcher, which is then shut down.
    static func with(
        _ handler: TestJob,
        settings: JobDispatcher.Settings = .quick,
        on backend: StoreBackend = .sqlite,
        _ body: @escaping @Sendable (DispatcherFixture) async throws -> Void
    ) async throws {
        try await backend.withStore { store in
            let fixture = DispatcherFixture(store: store)
            try await fixture.seed()
            try await fixture.withDispatcher(handler, settings: settings) { try await body(fixture) }
        }
    }

    func withDispatcher(
        _ handler: TestJob,
        settings: JobDispatcher.Settings = .quick,
        _ body: @Sendable () async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let dispatcher = JobDispatcher(store: store, settings: settings, handlers: [handler], logger: logger)
        let group = ServiceGroup(configuration: .init(services: [dispatcher], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await body()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    func seed() async throws {
        let now = Timestamp.now
        let project = Project(id: Self.project, name: "P", slug: "p", createdAt: now, updatedAt: now)
        try await store.write { transaction in
            try transaction.seed(.anonymous, providerID: "anonymous")
            try transaction.insert(project, owner: User.anonymous.id)
        }
    }

    func enqueue(_ name: String, resource: Job.Resource? = nil, project: ID<Project> = project) async throws {
        try await store.write { transaction in
            _ = try jobs.enqueue(
                TestJob.self,
                .init(name: name),
                project: project,
                resource: resource,
                in: transaction
            )
        }
    }

    /// Sends the running jobs back, as another server does that finds their leases expired.
    func takeOverAll() async throws {
        try await store.write { transaction in
            try transaction.expireLeases()
            for job in try transaction.lostJobs(staleBefore: Timestamp(milliseconds: 0), limit: 10) {
                _ = try transaction.settle(job, as: .pending, error: nil, retryAt: .now)
            }
        }
    }

    /// The data of the next `count` events that tell of ended jobs.
    func ended(_ count: Int = 1) async throws -> [String] {
        let (commits, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        store.changes.listen { _ in continuation.yield() }
        continuation.yield()
        for await _ in commits {
            let events = try await store.read { try $0.events(of: Self.project, after: 0, limit: 1000) }
            let ended = events.filter { $0.type == "job_completed" }.map(\.data)
            if ended.count >= count { return ended }
        }
        return []
    }
}

extension JobDispatcher.Settings {
    /// Short times, so that a test need not wait.
    static var quick: Self {
        var settings = Self()
        settings.retryBackoff = .milliseconds(1)
        settings.heartbeatInterval = .milliseconds(20)
        settings.pollInterval = .milliseconds(50)
        return settings
    }
}

/// Opens once, for all who wait.
actor Gate {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    func wait() async {
        if isOpen { return }
        await withCheckedContinuation { waiters.append($0) }
    }
}
