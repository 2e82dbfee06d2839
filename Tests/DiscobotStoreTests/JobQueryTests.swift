// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct JobQueryTests {
    private static let kind: Job.Kind = "test"

    private func request(
        _ payload: String = "{}",
        project: ID<Project> = "p",
        resource: Job.Resource? = nil,
        priority: Int = 10,
        queues: Bool = false
    ) -> JobRequest {
        JobRequest(
            kind: Self.kind,
            projectID: project,
            resource: resource,
            payload: payload,
            priority: priority,
            maxAttempts: 3,
            queues: queues
        )
    }

    private func lease(_ worker: String = "w", for duration: Duration = .seconds(60)) -> JobLease {
        JobLease(workerID: worker, expiresAt: Timestamp.now.advanced(by: duration))
    }

    private func claim(_ store: Store, upTo count: Int = 1, _ lease: JobLease? = nil) async throws -> [Job] {
        let lease = lease ?? self.lease()
        return try await store.write { try $0.claimJobs(of: Self.kind, upTo: count, lease: lease) }
    }

    @Test(arguments: StoreBackend.allCases)
    func `the more urgent goes first, then the older`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            for (payload, priority) in [("a", 10), ("b", 10), ("urgent", 20)] {
                let request = request(payload, priority: priority)
                try await store.write { try $0.enqueue(request) }
            }
            #expect(try await claim(store).map(\.payload) == ["urgent"])
            let rest = try await claim(store, upTo: 5).map(\.payload)
            #expect(Set(rest) == ["a", "b"])
            #expect(try await claim(store).isEmpty)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `work on a whole project waits for what runs in it`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let (inner, other) = (request("inner"), request("other", project: "q"))
            let whole = request("whole", resource: .project("p"), priority: 20)
            try await store.write { try $0.enqueue(inner) }
            let running = try #require(try await claim(store).first)
            for request in [whole, other] { try await store.write { try $0.enqueue(request) } }
            #expect(try await claim(store, upTo: 5).map(\.payload) == ["other"])
            _ = try await store.write { try $0.settle(running, as: .completed, error: nil, retryAt: .now) }
            #expect(try await claim(store, upTo: 5).map(\.payload) == ["whole"])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `projects take turns`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            for index in 0..<50 {
                let request = request(project: "busy", resource: Job.Resource(type: "r", id: "\(index)"))
                try await store.write { try $0.enqueue(request) }
            }
            let late = request(project: "late")
            try await store.write { try $0.enqueue(late) }
            #expect(try await claim(store, upTo: 2).map(\.projectID) == ["busy", "late"])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a resource has one running job`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let resource = Job.Resource(type: "workspace", id: "1")
            let first = request("first", resource: resource)
            let second = request("second", resource: resource)
            let queued = request("queued", resource: resource, queues: true)
            #expect(try await store.write { try $0.enqueue(first) })
            #expect(try await store.write { try $0.enqueue(second) } == false)
            #expect(try await store.write { try $0.enqueue(queued) })
            let running = try await claim(store, upTo: 5)
            #expect(running.map(\.payload) == ["first"])
            let now = Timestamp.now
            #expect(
                try await store.write { try $0.settle(running[0], as: .completed, error: nil, retryAt: now) }
                    == .completed
            )
            #expect(try await claim(store, upTo: 5).map(\.payload) == ["queued"])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a late result of a lost job is refused`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let request = request()
            try await store.write { try $0.enqueue(request) }
            let stalled = try #require(try await claim(store, lease("stalled", for: .seconds(-1))).first)
            let lost = try await store.read { try $0.lostJobs(staleBefore: Timestamp(milliseconds: 0), limit: 10) }
            #expect(lost.map(\.id) == [stalled.id])
            let now = Timestamp.now
            #expect(
                try await store.write { try $0.settle(lost[0], as: .pending, error: "lost", retryAt: now) } == .pending
            )
            let retried = try #require(try await claim(store, lease("next")).first)
            #expect(retried.fence == stalled.fence + 1)
            #expect(retried.attempts == 2)
            #expect(try await store.write { try $0.settle(stalled, as: .completed, error: nil, retryAt: now) } == nil)
            #expect(
                try await store.write { try $0.settle(retried, as: .completed, error: nil, retryAt: now) } == .completed
            )
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a retry waits for its time`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let request = request()
            try await store.write { try $0.enqueue(request) }
            let job = try #require(try await claim(store).first)
            let later = Timestamp.now.advanced(by: .seconds(3600))
            #expect(
                try await store.write { try $0.settle(job, as: .pending, error: "try later", retryAt: later) }
                    == .pending
            )
            #expect(try await claim(store).isEmpty)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `cancelling ends what waits and asks what runs`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let resource = Job.Resource(type: "workspace", id: "1")
            let running = request(resource: resource)
            let waiting = request(resource: resource, queues: true)
            try await store.write { try $0.enqueue(running) }
            _ = try await claim(store)
            try await store.write { try $0.enqueue(waiting) }
            try await store.write { try $0.cancelJobs(on: resource) }
            let lease = lease()
            let claimed = try await store.read { try $0.lostJobs(staleBefore: .now, limit: 10) }
            let renewed = try await store.write { try $0.renewLeases(of: claimed.map(\.id), lease) }
            #expect(renewed.map(\.isCancelRequested) == [true])
            #expect(try await store.write { try $0.enqueue(running) }, "what is being cancelled is not under way")
            #expect(try await claim(store, upTo: 5).isEmpty, "but it holds the resource until it has ended")
        }
    }

    @Test(arguments: StoreBackend.allCases, [JobStatus.completed, .pending, .failed])
    func `a cancelled job ends as cancelled, whatever its attempt came to`(
        backend: StoreBackend,
        status: JobStatus
    ) async throws {
        try await backend.withStore { store in
            let resource = Job.Resource(type: "workspace", id: "1")
            let request = request(resource: resource)
            try await store.write { try $0.enqueue(request) }
            let job = try #require(try await claim(store).first)
            try await store.write { try $0.cancelJobs(on: resource) }
            let now = Timestamp.now
            #expect(try await store.write { try $0.settle(job, as: status, error: nil, retryAt: now) } == .cancelled)
            #expect(try await claim(store).isEmpty)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `claiming from two workers at once gives each job to one`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            for index in 0..<100 {
                let request = request("\(index)")
                try await store.write { try $0.enqueue(request) }
            }
            let claimed = try await withThrowingTaskGroup(of: [Job].self) { group in
                for worker in 0..<8 {
                    let lease = lease("w\(worker)")
                    group.addTask {
                        var jobs: [Job] = []
                        while case let next = try await claim(store, upTo: 3, lease), !next.isEmpty { jobs += next }
                        return jobs
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.count == 100)
            #expect(Set(claimed.map(\.payload)).count == 100)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `ended jobs are forgotten after a time`(backend: StoreBackend) async throws {
        try await backend.withStore { store in
            let request = request()
            try await store.write { try $0.enqueue(request) }
            let job = try #require(try await claim(store).first)
            let now = Timestamp.now
            #expect(
                try await store.write { try $0.settle(job, as: .completed, error: nil, retryAt: now) } == .completed
            )
            try await store.write { try $0.deleteEndedJobs(before: now.advanced(by: .seconds(-60))) }
            #expect(try await store.read { try $0.row("SELECT 1 AS found FROM jobs") } != nil)
            try await store.write { try $0.deleteEndedJobs(before: now.advanced(by: .seconds(60))) }
            #expect(try await store.read { try $0.row("SELECT 1 AS found FROM jobs") } == nil)
        }
    }
}
