// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotStore
import DiscobotTestSupport
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import DiscobotServices

@Suite(.timeLimit(.minutes(10)))
struct ImagePullTests {
    @Test
    func `an image that is missing is pulled, and its progress is told`() async throws {
        let source = ScriptedSource { _, report in
            report(SandboxImageProgress(bytes: 30, totalBytes: 60))
            report(SandboxImageProgress(bytes: 60, totalBytes: 60))
        }
        try await with(source) { fixture in
            let last = try await fixture.told { $0.contains(#""state":"completed""#) }
            #expect(last.contains(#""id":"test-pull""#))
            #expect(last.contains(#""bytesDownloaded":60"#) && last.contains(#""totalBytes":60"#))
            let task = try #require(fixture.tasks.all.first)
            #expect(fixture.tasks.all.count == 1)
            #expect(task.state == .completed && task.progress == 100 && task.error == nil)
            #expect(source.pulls == 1)
        }
    }

    @Test
    func `a failure is told, and tried again until it succeeds`() async throws {
        let told = Gate()
        let source = ScriptedSource { attempt, _ in
            if attempt == 1 { throw SandboxError(.invalidImage, "no such image") }
            await told.wait()
        }
        try await with(source) { fixture in
            let failed = try await fixture.told { $0.contains(#""state":"failed""#) }
            #expect(failed.contains(#""error":"no such image""#))
            await told.open()
            _ = try await fixture.told { $0.contains(#""state":"completed""#) }
            #expect(source.pulls == 2)
        }
    }

    @Test
    func `an attempt that takes too long is ended`() async throws {
        var settings = ImagePull.Settings.quick
        settings.attempt = .milliseconds(20)
        let source = ScriptedSource { attempt, _ in
            if attempt == 1 { try await Task.sleep(for: .seconds(1000)) }
        }
        try await with(source, settings) { fixture in
            _ = try await fixture.told { $0.contains(#""state":"completed""#) }
            #expect(source.pulls == 2)
        }
    }

    @Test
    func `an image that is there already needs no task`() async throws {
        let source = ScriptedSource(isPresent: true) { _, _ in }
        try await with(source) { fixture in
            await source.asked.wait()
            #expect(fixture.tasks.all.isEmpty)
            #expect(source.pulls == 0)
        }
    }

    @Test
    func `nothing is shown until there is somebody to ask`() async throws {
        let source = ScriptedSource(absences: 3) { _, _ in }
        try await with(source) { fixture in
            _ = try await fixture.told { $0.contains(#""state":"completed""#) }
            #expect(try await fixture.events().allSatisfy { !$0.contains("failed") })
            #expect(source.looks == 4)
        }
    }

    @Test
    func `a pull is cancelled when the server stops`() async throws {
        let began = Gate()
        let wasCancelled = Mutex(false)
        let source = ScriptedSource { _, _ in
            await began.open()
            do {
                try await Task.sleep(for: .seconds(1000))
            } catch {
                wasCancelled.withLock { $0 = true }
                throw error
            }
        }
        try await with(source) { _ in await began.wait() }
        #expect(wasCancelled.withLock { $0 })
    }

    @Test
    func `many changes are few events, and each project gets them`() async throws {
        let source = ScriptedSource { _, report in
            for bytes in 0...100_000 { report(SandboxImageProgress(bytes: Int64(bytes), totalBytes: 100_000)) }
        }
        try await with(source, interval: .milliseconds(50)) { fixture in
            _ = try await fixture.told { $0.contains(#""state":"completed""#) }
            #expect(try await fixture.events().count < 1000)
            let other = try await fixture.store.read { try $0.events(of: "other", after: 0, limit: 1000) }
            #expect(other.count == (try await fixture.events().count))
        }
    }

    @Test
    func `waits double up to the longest`() {
        var backOff = BackOff(first: .seconds(5), longest: .seconds(300))
        #expect((1...9).map { _ in backOff.next().components.seconds } == [5, 10, 20, 40, 80, 160, 300, 300, 300])
    }

    private struct Fixture: Sendable {
        let store: Store
        let tasks: StartupTasks

        func events() async throws -> [String] {
            let events = try await store.read { try $0.events(of: "p", after: 0, limit: 1000) }
            return events.filter { $0.type == "startup_task_updated" }.map(\.data)
        }

        /// The data of the first event that fits.
        func told(_ isWanted: (String) -> Bool) async throws -> String {
            let (commits, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            store.changes.listen { _ in continuation.yield() }
            continuation.yield()
            for await _ in commits {
                if let event = try await events().first(where: isWanted) { return event }
            }
            throw CancellationError()
        }
    }

    private func with(
        _ source: ScriptedSource,
        _ settings: ImagePull.Settings = .quick,
        interval: Duration = .zero,
        _ body: @escaping @Sendable (Fixture) async throws -> Void
    ) async throws {
        try await StoreBackend.sqlite.withStore { store in
            let now = Timestamp.now
            try await store.write { transaction in
                try transaction.seed(.anonymous, providerID: "anonymous")
                for id: ID<Project> in ["p", "other"] {
                    let project = Project(id: id, name: "P", slug: id.rawValue, createdAt: now, updatedAt: now)
                    try transaction.insert(project, owner: User.anonymous.id)
                }
            }
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let tasks = StartupTasks(store: store, logger: logger, interval: interval)
            let pull = ImagePull(of: "test", from: source, tasks: tasks, settings: settings, logger: logger)
            let group = ServiceGroup(configuration: .init(services: [tasks, pull], logger: logger))
            try await withThrowingTaskGroup(of: Void.self) { running in
                running.addTask { try await group.run() }
                try await body(Fixture(store: store, tasks: tasks))
                await group.triggerGracefulShutdown()
                try await running.waitForAll()
            }
        }
    }
}

extension ImagePull.Settings {
    /// Short waits, so that a test need not wait.
    fileprivate static var quick: Self {
        var settings = Self()
        settings.firstWait = .milliseconds(1)
        return settings
    }
}

/// An image source whose pulls the test decides.
private final class ScriptedSource: SandboxImageSource {
    typealias Report = @Sendable (SandboxImageProgress) -> Void

    let imageName = "test:latest"
    /// Opens with the first look for the image.
    let asked = Gate()
    private let isPresent: Bool
    private let absences: Int
    private let pull: @Sendable (Int, Report) async throws -> Void
    private let counts = Mutex((looks: 0, pulls: 0))

    /// - Parameters:
    ///   - absences: how often nobody is there at first.
    ///   - pull: gets the number of the attempt.
    init(isPresent: Bool = false, absences: Int = 0, pull: @escaping @Sendable (Int, Report) async throws -> Void) {
        self.isPresent = isPresent
        self.absences = absences
        self.pull = pull
    }

    var looks: Int { counts.withLock { $0.looks } }
    var pulls: Int { counts.withLock { $0.pulls } }

    func isImagePresent() async throws -> Bool {
        let look = counts.withLock { counts in
            counts.looks += 1
            return counts.looks
        }
        await asked.open()
        guard look > absences else { throw SandboxError(.unavailable, "nobody is there") }
        return isPresent
    }

    func pullImage(_ report: @escaping Report) async throws {
        let attempt = counts.withLock { counts in
            counts.pulls += 1
            return counts.pulls
        }
        try await pull(attempt, report)
    }

    func outdatedSandboxes() async throws -> [ID<Session>] { [] }
}
