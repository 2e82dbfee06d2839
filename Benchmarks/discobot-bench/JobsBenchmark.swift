// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DiscobotModel
import DiscobotServices
import DiscobotStore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// How many jobs that do nothing go through the dispatcher in a second: claimed, run, recorded, announced as events.
struct JobsBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jobs")

    @Option var count = 20_000
    @Option(help: "A directory for the database.") var directory: String

    func run() async throws {
        let store = try await Store(try await SQLiteDatabase(path: directory + "/jobs.db"))
        try await ProjectService(store: store, jobs: JobQueue(maxAttempts: 1)).seed()
        try await enqueue(store)
        let done = Countdown(count)
        let handler = NoOpJob(done: done)
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let dispatcher = JobDispatcher(store: store, settings: .init(), handlers: [handler], logger: logger)
        let group = ServiceGroup(configuration: .init(services: [dispatcher], logger: logger))
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            await done.wait()
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            report("| no-op jobs | \(count) | \(String(format: "%.0f", Double(count) / seconds)) jobs/s |")
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        await store.close()
    }

    private func enqueue(_ store: Store) async throws {
        let jobs = JobQueue(maxAttempts: 1)
        try await store.write { [count] transaction in
            for index in 0..<count {
                try jobs.enqueue(
                    NoOpJob.self,
                    .init(number: index),
                    project: Project.localID,
                    resource: Job.Resource(type: "bench", id: "\(index)"),
                    in: transaction
                )
            }
        }
    }
}

private struct NoOpJob: JobHandler {
    struct Payload: Codable, Sendable {
        let number: Int
    }

    static let kind: Job.Kind = "bench_no_op"
    static let policy = JobPolicy(concurrency: 32)

    let done: Countdown

    func run(_ payload: Payload) async throws -> JobResult {
        // Counted in the transaction that records the end.
        { _ in done.count() }
    }

    func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}

/// Lets one waiter go on when everything has happened.
private final class Countdown: Sendable {
    private let left: Mutex<Int>
    private let end: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(_ count: Int) {
        left = Mutex(count)
        (end, continuation) = AsyncStream.makeStream()
    }

    func count() {
        let isLast = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isLast { continuation.finish() }
    }

    func wait() async {
        for await _ in end {}
    }
}
