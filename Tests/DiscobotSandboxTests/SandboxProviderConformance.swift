// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What every provider must do.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct SandboxProviderConformance {
    private func with(
        _ kind: ProviderKind,
        _ body: (any SandboxProvider, TemporaryDirectory) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let provider = try await kind.make(directory)
            let result: Result<Void, any Error>
            do { result = .success(try await body(provider, directory)) } catch { result = .failure(error) }
            for sandbox in try await provider.sandboxes() {
                try await provider.remove(sandbox.sessionID, keepingData: false)
            }
            #expect(try await Leftovers.areGone(directory.path))
            if kind.isLocal, directory.exists("sandboxes/sessions") {
                #expect(try directory.contents("sandboxes/sessions").isEmpty)
                #expect(try directory.contents("sandboxes/run").isEmpty)
                #expect(try directory.contents("sandboxes/trash").isEmpty)
            }
            try result.get()
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `is available`(kind: ProviderKind) async throws {
        try await with(kind) { provider, _ in
            #expect(await provider.problem() == nil)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `a sandbox is made, runs, stops, runs again and goes`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            let created = try #require(try await provider.sandbox(of: id))
            #expect(created.status == .created)
            #expect(created.startedAt == nil)
            for _ in 1...2 {
                try await provider.start(id)
                let running = try #require(try await provider.sandbox(of: id))
                #expect(running.status == .running)
                #expect(running.startedAt != nil)
                #expect(running.createdAt == created.createdAt)
                try await provider.stop(id)
                let stopped = try #require(try await provider.sandbox(of: id))
                #expect(stopped.status == .stopped)
                #expect(stopped.error == nil)
                #expect(stopped.stoppedAt != nil)
            }
            try await provider.remove(id, keepingData: false)
            #expect(try await provider.sandbox(of: id) == nil)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `every operation may be repeated`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            try await provider.stop(id)
            #expect(try await provider.sandbox(of: id)?.status == .created)
            try await provider.start(id)
            let running = try await provider.sandbox(of: id)
            try await provider.start(id)
            #expect(try await provider.sandbox(of: id) == running)
            try await provider.stop(id)
            try await provider.stop(id)
            try await provider.remove(id, keepingData: false)
            try await provider.remove(id, keepingData: false)
            #expect(try await provider.sandboxes().isEmpty)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `sessions without a sandbox are not found`(kind: ProviderKind) async throws {
        try await with(kind) { provider, _ in
            for id: ID<Session> in ["unknown", "../unknown", "", ID(rawValue: String(repeating: "x", count: 300))] {
                let notFound = { (error: SandboxError?) in error?.code == .notFound }
                #expect(notFound(await #expect(throws: SandboxError.self) { try await provider.start(id) }))
                #expect(notFound(await #expect(throws: SandboxError.self) { try await provider.stop(id) }))
                #expect(notFound(await #expect(throws: SandboxError.self) { _ = try await provider.endpoint(of: id) }))
                #expect(try await provider.sandbox(of: id) == nil)
                try await provider.remove(id, keepingData: false)
            }
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `only a running sandbox has an endpoint`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            let error = await #expect(throws: SandboxError.self) { _ = try await provider.endpoint(of: id) }
            #expect(error?.code == .notRunning)
            try await provider.start(id)
            let path = try #require(try await provider.endpoint(of: id).path)
            #expect(path.utf8.count < 108)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `readers see the present and then each change`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            try await provider.start(id)
            var changes = provider.changes().makeAsyncIterator()
            #expect(await changes.next()?.sandbox?.status == .running)
            try await provider.stop(id)
            #expect(await changes.next()?.sandbox?.status == .stopped)
            try await provider.remove(id, keepingData: false)
            let last = await changes.next()
            #expect(last?.sessionID == id)
            #expect(last?.sandbox == nil)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `a reader that is cancelled ends`(kind: ProviderKind) async throws {
        try await with(kind) { provider, _ in
            let reader = Task { for await _ in provider.changes() {} }
            reader.cancel()
            await reader.value
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `making a sandbox again replaces it`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let id = ID<Session>.random()
            try await provider.create(try kind.specification(id, directory))
            try await provider.start(id)
            try await provider.create(try kind.specification(id, directory))
            #expect(try await provider.sandbox(of: id)?.status == .created)
            try await provider.start(id)
            #expect(try await provider.sandbox(of: id)?.status == .running)
        }
    }

    @Test(arguments: ProviderKind.allCases)
    func `many at once do not disturb each other`(kind: ProviderKind) async throws {
        try await with(kind) { provider, directory in
            let ids = (1...20).map { _ in ID<Session>.random() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in ids {
                    group.addTask {
                        try await provider.create(try kind.specification(id, directory))
                        try await provider.start(id)
                    }
                }
                try await group.waitForAll()
            }
            let sandboxes = try await provider.sandboxes()
            #expect(Set(sandboxes.map(\.sessionID)) == Set(ids))
            #expect(sandboxes.allSatisfy { $0.status == .running })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in ids { group.addTask { try await provider.remove(id, keepingData: false) } }
                try await group.waitForAll()
            }
            #expect(try await provider.sandboxes().isEmpty)
        }
    }
}
