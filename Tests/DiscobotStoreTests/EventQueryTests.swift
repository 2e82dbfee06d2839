// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct EventQueryTests {
    private func withProject(
        _ backend: StoreBackend,
        _ body: (Store, ID<Project>) async throws -> Void
    ) async throws {
        try await backend.withStore { store in
            let now = Timestamp.now
            let project = Project(id: "p", name: "P", slug: "p", createdAt: now, updatedAt: now)
            try await store.write { transaction in
                try transaction.seed(.anonymous, providerID: "anonymous")
                try transaction.insert(project, owner: User.anonymous.id)
            }
            try await body(store, project.id)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `numbers have no hole and no duplicate, whoever fails in between`(backend: StoreBackend) async throws {
        struct Refused: Error {}
        try await withProject(backend) { store, project in
            await withTaskGroup(of: Void.self) { group in
                for index in 0..<100 {
                    group.addTask {
                        try? await store.write { transaction in
                            try transaction.append(.workspaceUpdated("w", .ready), to: project)
                            if index.isMultiple(of: 3) { throw Refused() }
                        }
                    }
                }
            }
            let events = try await store.read { try $0.events(of: project, after: 0, limit: 1000) }
            #expect(events.map(\.sequence) == Array(1...66))
            let bounds = try await store.read { try $0.eventBounds(of: project) }
            #expect(bounds == (1, 66))
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a slug that is taken refuses the project and leaves nothing of it`(backend: StoreBackend) async throws {
        try await withProject(backend) { store, _ in
            let now = Timestamp.now
            let twin = Project(id: "twin", name: "Twin", slug: "p", createdAt: now, updatedAt: now)
            let isStored = try await store.write { try $0.insert(twin, owner: User.anonymous.id) }
            #expect(!isStored)
            let projects = try await store.read { try $0.projects(of: User.anonymous.id) }
            #expect(projects.map(\.id) == ["p"])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `the log of a project is bounded`(backend: StoreBackend) async throws {
        try await withProject(backend) { store, project in
            let count = retainedEventCount + 512
            try await store.write { transaction in
                for _ in 0..<count { try transaction.append(.workspaceUpdated("w", .ready), to: project) }
            }
            let bounds = try await store.read { try $0.eventBounds(of: project) }
            #expect(bounds.newest == count)
            #expect(bounds.newest - bounds.oldest < retainedEventCount + 256)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a commit with events is told, a failed one is not`(backend: StoreBackend) async throws {
        struct Refused: Error {}
        try await withProject(backend) { store, project in
            let (heard, continuation) = AsyncStream.makeStream(of: StoreNews.self)
            store.changes.listen { continuation.yield($0) }
            _ = try? await store.write { transaction in
                try transaction.append(.workspaceUpdated("failed", .ready), to: project)
                throw Refused()
            }
            try await store.write { try $0.append(.workspaceUpdated("w", .ready), to: project) }
            continuation.finish()
            var news: [StoreNews] = []
            for await item in heard { news.append(item) }
            #expect(news.map(\.projects) == [[project]])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `a project that is gone has no log`(backend: StoreBackend) async throws {
        try await withProject(backend) { store, project in
            try await store.write { try $0.delete(project) }
            try await store.write { try $0.append(.workspaceUpdated("w", .ready), to: project) }
            #expect(try await store.read { try $0.events(of: project, after: 0, limit: 10) }.isEmpty)
        }
    }
}
