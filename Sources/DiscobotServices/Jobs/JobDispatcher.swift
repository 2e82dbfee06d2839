// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import DiscobotStore
package import Logging
import ServiceLifecycle
import Synchronization

/// Runs the stored jobs: claims what is due, keeps the leases alive, and takes over from workers that died.
package final class JobDispatcher: Service {
    package struct Settings: Sendable {
        /// The longest wait before looking for due jobs; a commit that adds one wakes the dispatcher at once.
        package var pollInterval: Duration = .seconds(5)
        package var wakesOnCommit = true
        package var heartbeatInterval: Duration = .seconds(10)
        /// How long a job stays with a worker that gives no sign of life.
        package var leaseDuration: Duration = .seconds(30)
        /// Long enough to clone a large repository.
        package var jobTimeout: Duration = .seconds(1200)
        /// A job that runs longer is taken from its worker, whatever the worker says.
        package var staleTimeout: Duration = .seconds(1800)
        /// Before the second attempt; doubled for each further one, with jitter.
        package var retryBackoff: Duration = .seconds(5)
        /// How long running jobs may go on once the server is told to stop.
        package var drainTimeout: Duration = .seconds(10)
        /// How long ended jobs are kept.
        package var retention: Duration = .seconds(7 * 24 * 3600)

        package init() {}
    }

    private let store: Store
    private let settings: Settings
    private let handlers: [Job.Kind: AnyJobHandler]
    private let logger: Logger
    private let workerID = ID<JobDispatcher>.random().rawValue
    private let attempts = Mutex<[JobAttempt.Key: JobAttempt]>([:])
    private let wakeUps: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation

    /// Each kind has one handler; a later one of the same kind is a programming error and ignored.
    package init(store: Store, settings: Settings, handlers: [any JobHandler], logger: Logger) {
        self.store = store
        self.settings = settings
        self.handlers = Dictionary(
            handlers.map { AnyJobHandler($0) }.map { ($0.kind, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        self.logger = logger
        (wakeUps, wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func run() async throws {
        store.changes.listen { [weak self] news in self?.hear(news) }
        try await recover()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepAlive() }
            group.addTask { await self.poll() }
            await withGracefulShutdownHandler {
                for await _ in wakeUps {
                    if Task.isShuttingDownGracefully || Task.isCancelled { break }
                    for attempt in await claim() {
                        group.addTask { await self.execute(attempt) }
                    }
                }
            } onGracefulShutdown: {
                self.wakeUp.yield()
            }
            await drain()
            group.cancelAll()
        }
    }

    /// Claims what may run now.
    private func claim() async -> [JobAttempt] {
        let running = Dictionary(grouping: running, by: \.job.kind).mapValues(\.count)
        let free = handlers.values.map { ($0.kind, $0.policy.concurrency - running[$0.kind, default: 0]) }
        let lease = newLease()
        let known = Set(attempts.withLock(\.keys))
        let claimed = await logged("claiming jobs failed") {
            try await self.store.write { transaction in
                let jobs = try free.flatMap { kind, count in
                    try transaction.claimJobs(of: kind, upTo: count, lease: lease)
                }
                let claimed = jobs.map(JobAttempt.init)
                // Before the commit, so that whoever cancels one of the jobs afterwards finds its attempt.
                self.register(claimed)
                return claimed
            }
        }
        if let claimed { return claimed }
        // Not committed: what was registered is nobody's attempt.
        attempts.withLock { $0 = $0.filter { known.contains($0.key) } }
        return []
    }

    private func register(_ new: [JobAttempt]) {
        attempts.withLock { attempts in
            for attempt in new { attempts[attempt.key] = attempt }
        }
    }

    private func execute(_ attempt: JobAttempt) async {
        let retryDelay = await perform(attempt)
        _ = attempts.withLock { $0.removeValue(forKey: attempt.key) }
        wakeUp.yield()
        // Later ones are found by looking now and then.
        guard let retryDelay, retryDelay < settings.pollInterval else { return }
        try? await Task.sleep(for: retryDelay)
        wakeUp.yield()
    }

    /// Runs the attempt and records its end; returns how long to wait before the next one, if there should be one.
    private func perform(_ attempt: JobAttempt) async -> Duration? {
        let job = attempt.job
        guard let handler = handlers[job.kind] else { return nil }
        do {
            let result = try await attempt.run(timeout: handler.policy.timeout ?? settings.jobTimeout, handler.run)
            try await settle(job, .succeeded, error: nil, apply: result)
            return nil
        } catch JobAttempt.Interruption.leaseLost {
            logger.warning("job lost to another worker", metadata: job.metadata)
            return nil
        } catch {
            return await fail(job, error)
        }
    }

    private func fail(_ job: Job, _ error: any Error) async -> Duration {
        let failure = JobFailure(error)
        if failure.isWorthLogging {
            logger.warning("job failed", metadata: job.metadata.merging(["error": "\(error)"]) { first, _ in first })
        }
        let delay: Duration = failure.outcome == .interrupted ? .zero : backoff(attempt: job.attempts)
        await end(job, failure.outcome, error: failure.message, retryDelay: delay)
        return delay
    }

    /// Records an attempt that did not succeed. A handler that cannot even give up must not hold its job for ever.
    private func end(_ job: Job, _ outcome: JobStatus.Outcome, error: String, retryDelay: Duration = .zero) async {
        let ways: [AnyJobHandler.GiveUp?] = [handlers[job.kind]?.giveUp, nil]
        for giveUp in ways {
            do {
                return try await settle(job, outcome, error: error, retryDelay: retryDelay, giveUp: giveUp)
            } catch {
                logger.error(
                    "recording the end of a job failed",
                    metadata: job.metadata.merging(["error": "\(error)"]) { first, _ in first }
                )
            }
        }
    }

    /// Records the end of an attempt together with what it brings about.
    private func settle(
        _ job: Job,
        _ outcome: JobStatus.Outcome,
        error: String?,
        retryDelay: Duration = .zero,
        apply result: JobResult? = nil,
        giveUp: AnyJobHandler.GiveUp? = nil
    ) async throws {
        let status = JobStatus.after(outcome, attempts: job.attempts, maxAttempts: job.maxAttempts)
        let retryAt = Timestamp.now.advanced(by: retryDelay)
        try await store.write { transaction in
            switch try transaction.settle(job, as: status, error: error, retryAt: retryAt) {
            case .completed:
                try result?(transaction)
                try transaction.append(.jobCompleted(job, succeeded: true, error: nil), to: job.projectID)
            case .failed:
                try giveUp?(job, error ?? "unknown", transaction)
                try transaction.append(.jobCompleted(job, succeeded: false, error: error), to: job.projectID)
            case .pending where outcome == .interrupted: try transaction.forgetAttempt(job)
            case .pending, .running, .cancelled, nil: break
            }
        }
    }

    /// Doubles with each attempt up to ten minutes, ± 20 % so that jobs that failed together do not come back together.
    private func backoff(attempt: Int) -> Duration {
        let doubled = settings.retryBackoff * (1 << min(max(attempt - 1, 0), 10))
        return min(doubled, .seconds(600)) * Double.random(in: 0.8...1.2)
    }

    private func newLease() -> JobLease {
        JobLease(workerID: workerID, expiresAt: Timestamp.now.advanced(by: settings.leaseDuration))
    }

    private func hear(_ news: StoreNews) {
        if !news.cancelledJobs.isEmpty {
            for attempt in running where news.cancelledJobs.contains(attempt.job.id) { attempt.interrupt(.cancelled) }
        }
        if news.hasJobs, settings.wakesOnCommit { wakeUp.yield() }
    }

    private var running: [JobAttempt] { attempts.withLock { Array($0.values) } }
}

// MARK: - Staying alive and taking over

extension JobDispatcher {
    /// A database of one server at a time holds only jobs of servers that are gone.
    private func recover() async throws {
        try await store.write { [isShared = store.isShared] transaction in
            if !isShared { try transaction.expireLeases() }
        }
        await takeOver()
    }

    /// Looks for due jobs now and then: retries that wait for long, and jobs that another server has added.
    private func poll() async {
        while !Task.isCancelled {
            wakeUp.yield()
            try? await Task.sleep(for: settings.pollInterval)
        }
    }

    private func keepAlive() async {
        while true {
            do { try await Task.sleep(for: settings.heartbeatInterval) } catch { return }
            await renew()
            await takeOver()
            await forgetEnded()
        }
    }

    private func renew() async {
        let lease = newLease()
        let before = running
        let held = await logged("renewing leases failed") {
            try await self.store.write { try $0.renewLeases(of: before.map(\.job.id), lease) }
        }
        guard let held else { return }
        let current = Dictionary(held.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for attempt in before {
            let job = current[attempt.job.id]
            if job?.fence != attempt.job.fence { attempt.interrupt(.leaseLost) }
            if job?.isCancelRequested == true { attempt.interrupt(.cancelled) }
        }
    }

    /// Ends the attempts of workers that died: the job is tried again or given up.
    private func takeOver() async {
        let stale = Timestamp(milliseconds: Timestamp.now.milliseconds - settings.staleTimeout.milliseconds)
        let longLived = handlers.values.filter { $0.policy.timeout != nil }.map(\.kind)
        let lost = await logged("looking for lost jobs failed") {
            try await self.store.read { try $0.lostJobs(staleBefore: stale, except: longLived, limit: 1000) }
        }
        for job in lost ?? [] {
            // This server's own, which only takes too long or was held up, must end before anybody else begins.
            if let own = attempts.withLock({ $0[JobAttempt.Key(job)] }) {
                own.interrupt(.timedOut)
                continue
            }
            logger.notice("job of a lost worker taken over", metadata: job.metadata)
            await end(job, .failed(retryable: true), error: "the server ended while the job ran")
        }
    }

    private func forgetEnded() async {
        let time = Timestamp(milliseconds: Timestamp.now.milliseconds - settings.retention.milliseconds)
        await logged("removing ended jobs failed") {
            // Some at a time, so that others can write in between.
            while try await self.store.write({ try $0.deleteEndedJobs(before: time) }) == 1000 {}
        }
    }

    /// Lets running jobs end, and sends back those that take too long.
    private func drain() async {
        let deadline = ContinuousClock.now + settings.drainTimeout
        for attempt in running where handlers[attempt.job.kind]?.policy.drains == false {
            attempt.interrupt(.shutdown)
        }
        while case let running = running, !running.isEmpty {
            if ContinuousClock.now >= deadline {
                for attempt in running { attempt.interrupt(.shutdown) }
            }
            // A cancelled drain still waits for its children, which end at once.
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    @discardableResult
    private func logged<Value>(
        _ message: Logger.Message,
        _ body: () async throws -> Value
    ) async -> Value? {
        do {
            return try await body()
        } catch {
            logger.error(message, metadata: ["error": "\(error)"])
            return nil
        }
    }
}

extension Job {
    fileprivate var metadata: Logger.Metadata {
        ["job": "\(id)", "kind": "\(kind.rawValue)", "attempt": "\(attempts)"]
    }
}
