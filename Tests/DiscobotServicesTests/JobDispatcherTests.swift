// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Synchronization
import Testing

@testable import DiscobotServices

@Suite(.timeLimit(.minutes(10)))
struct JobDispatcherTests {
    private struct Broken: Error {}

    @Test
    func `a job's result and its end are one transaction`() async throws {
        let handler = TestJob { name in
            { try $0.put(Preference(key: name, value: "done", updatedAt: .now), of: User.anonymous.id) }
        }
        try await DispatcherFixture.with(handler) { fixture in
            try await fixture.enqueue("a")
            let ended = try await fixture.ended()
            #expect(ended[0].contains(#""status":"completed""#))
            #expect(try await fixture.store.read { try $0.preference("a", of: User.anonymous.id)?.value } == "done")
        }
    }

    @Test
    func `a failing job is tried again and then given up, with the reason`() async throws {
        let attempts = Mutex(0)
        let reasons = Mutex<[String]>([])
        let handler = TestJob { _ in
            attempts.withLock { $0 += 1 }
            throw ServerError(.operationFailed, "no luck")
        } givenUp: { reason in
            reasons.withLock { $0.append(reason) }
        }
        try await DispatcherFixture.with(handler) { fixture in
            try await fixture.enqueue("a")
            let ended = try await fixture.ended()
            #expect(ended[0].contains(#""status":"failed""#))
            #expect(ended[0].contains("no luck"))
        }
        #expect(attempts.withLock { $0 } == 3)
        #expect(reasons.withLock { $0 } == ["no luck"])
    }

    @Test
    func `what the request has wrong is not tried again`() async throws {
        let attempts = Mutex(0)
        let handler = TestJob { _ in
            attempts.withLock { $0 += 1 }
            throw ServerError.invalidArgument("not like this")
        }
        try await DispatcherFixture.with(handler) { fixture in
            try await fixture.enqueue("a")
            _ = try await fixture.ended()
        }
        #expect(attempts.withLock { $0 } == 1)
    }

    @Test
    func `a job that cannot even be given up ends, and holds up no other`() async throws {
        let handler = TestJob { _ in { _ in } }
        try await DispatcherFixture.with(handler) { fixture in
            let unreadable = JobRequest(
                kind: TestJob.kind,
                projectID: DispatcherFixture.project,
                resource: nil,
                payload: "{}",
                priority: 20,
                maxAttempts: 3,
                queues: false
            )
            try await fixture.store.write { try $0.enqueue(unreadable) }
            try await fixture.enqueue("next")
            let ended = try await fixture.ended(2)
            #expect(ended.count { $0.contains(#""status":"failed""#) } == 1)
            #expect(ended.count { $0.contains(#""status":"completed""#) } == 1)
        }
    }

    @Test
    func `a job of this server that runs for too long is never run twice at once`() async throws {
        var settings = JobDispatcher.Settings.quick
        settings.staleTimeout = .milliseconds(1)
        let room = Room()
        let handler = TestJob { _ in
            // The first two attempts end only by being stopped.
            try await room.visit { if $0 < 3 { try await Task.sleep(for: .seconds(3600)) } }
            return { _ in }
        }
        try await DispatcherFixture.with(handler, settings: settings) { fixture in
            try await fixture.enqueue("a")
            #expect(try await fixture.ended().count == 1)
        }
        #expect(room.most == 1)
        #expect(room.visits == 3)
    }

    @Test
    func `an unexpected error does not reach the user`() async throws {
        let handler = TestJob { _ in throw Broken() }
        try await DispatcherFixture.with(handler) { fixture in
            try await fixture.enqueue("a")
            let ended = try await fixture.ended()
            #expect(!ended[0].contains("Broken"))
        }
    }

    @Test
    func `a result that cannot be stored fails the attempt`() async throws {
        let handler = TestJob { _ in { _ in throw ServerError.conflict("taken") } }
        try await DispatcherFixture.with(handler) { fixture in
            try await fixture.enqueue("a")
            #expect(try await fixture.ended()[0].contains("taken"))
        }
    }

    @Test
    func `one job at a time runs on a resource`() async throws {
        let room = Room()
        let handler = TestJob { _ in
            try await room.visit()
            return { _ in }
        }
        try await DispatcherFixture.with(handler) { fixture in
            let resource = Job.Resource(type: "workspace", id: "1")
            for index in 0..<20 {
                let request = JobRequest(
                    kind: TestJob.kind,
                    projectID: DispatcherFixture.project,
                    resource: resource,
                    payload: #"{"name":"\#(index)"}"#,
                    priority: 10,
                    maxAttempts: 3,
                    queues: true
                )
                try await fixture.store.write { try $0.enqueue(request) }
            }
            #expect(try await fixture.ended(20).count == 20)
        }
        #expect(room.most == 1)
    }

    @Test
    func `a cancelled job stops at once and is not tried again`() async throws {
        let started = Gate()
        let attempts = Mutex(0)
        let handler = TestJob { name in
            guard name == "stuck" else { return { _ in } }
            attempts.withLock { $0 += 1 }
            await started.open()
            try await Task.sleep(for: .seconds(3600))
            return { _ in }
        }
        try await DispatcherFixture.with(handler) { fixture in
            let resource = Job.Resource(type: "workspace", id: "1")
            try await fixture.enqueue("stuck", resource: resource)
            await started.wait()
            try await fixture.store.write { try $0.cancelJobs(on: resource) }
            // It can only run once the first has let go of the resource.
            try await fixture.enqueue("next", resource: resource)
            let ended = try await fixture.ended()
            #expect(ended.count == 1)
            #expect(ended[0].contains(#""status":"completed""#))
        }
        #expect(attempts.withLock { $0 } == 1)
    }

    @Test
    func `a job that takes too long is stopped`() async throws {
        var settings = JobDispatcher.Settings.quick
        settings.jobTimeout = .milliseconds(10)
        let handler = TestJob { _ in
            try await Task.sleep(for: .seconds(3600))
            return { _ in }
        }
        try await DispatcherFixture.with(handler, settings: settings) { fixture in
            try await fixture.enqueue("a")
            #expect(try await fixture.ended()[0].contains("it took too long"))
        }
    }

    @Test
    func `a job cut short by the shutdown waits for the next server, as a first attempt`() async throws {
        var settings = JobDispatcher.Settings.quick
        settings.drainTimeout = .zero
        let started = Gate()
        let stuck = TestJob { _ in
            await started.open()
            try await Task.sleep(for: .seconds(3600))
            return { _ in }
        }
        try await StoreBackend.sqlite.withStore { store in
            let fixture = DispatcherFixture(store: store)
            try await fixture.seed()
            try await fixture.withDispatcher(stuck, settings: settings) {
                try await fixture.enqueue("a")
                await started.wait()
            }
            let lease = JobLease(workerID: "next", expiresAt: Timestamp.now.advanced(by: .seconds(60)))
            let job = try await store.write { try $0.claimJobs(of: TestJob.kind, upTo: 1, lease: lease).first }
            #expect(job?.attempts == 1)
        }
    }

    @Test
    func `the jobs of a server that died are taken over`() async throws {
        try await StoreBackend.sqlite.withStore { store in
            let fixture = DispatcherFixture(store: store)
            try await fixture.seed()
            try await fixture.enqueue("a")
            let dead = JobLease(workerID: "dead", expiresAt: Timestamp.now.advanced(by: .seconds(3600)))
            _ = try await store.write { try $0.claimJobs(of: TestJob.kind, upTo: 1, lease: dead) }
            try await fixture.withDispatcher(TestJob { _ in { _ in } }) {
                let ended = try await fixture.ended()
                #expect(ended[0].contains(#""status":"completed""#))
            }
        }
    }

    @Test
    func `a worker that lost its job drops the result`() async throws {
        let (started, release) = (Gate(), Gate())
        let attempts = Mutex(0)
        let handler = TestJob { _ in
            let attempt = attempts.withLock { attempts in
                attempts += 1
                return attempts
            }
            if attempt == 1 {
                await started.open()
                await release.wait()
            }
            return { try $0.put(Preference(key: "by", value: "\(attempt)", updatedAt: .now), of: User.anonymous.id) }
        }
        var settings = JobDispatcher.Settings.quick
        settings.heartbeatInterval = .seconds(3600)
        try await StoreBackend.sqlite.withStore { [settings] store in
            let fixture = DispatcherFixture(store: store)
            try await fixture.seed()
            try await fixture.withDispatcher(handler, settings: settings) {
                try await fixture.enqueue("a")
                await started.wait()
                try await fixture.takeOverAll()
                _ = try await fixture.ended()
                await release.open()
            }
            // The dispatcher has waited for both attempts.
            #expect(attempts.withLock { $0 } == 2)
            #expect(try await store.read { try $0.preference("by", of: User.anonymous.id)?.value } == "2")
        }
    }
}
