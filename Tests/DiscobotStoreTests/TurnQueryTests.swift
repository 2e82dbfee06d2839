// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Testing

/// Turns and the chunks of their answers, on every engine.
struct TurnQueryTests {
    private static let session: ID<Session> = "s"

    private static func with(
        _ backend: StoreBackend,
        _ body: @escaping @Sendable (Store) async throws -> Void
    ) async throws {
        try await backend.withStore { store in
            let now = Timestamp.now
            try await store.write { transaction in
                try transaction.seed(.anonymous, providerID: "anonymous")
                let project = Project(id: "p", name: "P", slug: "p", createdAt: now, updatedAt: now)
                try transaction.insert(project, owner: User.anonymous.id)
                try transaction.insert(
                    Workspace(
                        id: "w",
                        projectID: "p",
                        path: "/w",
                        displayName: nil,
                        sourceType: .local,
                        provider: "",
                        status: .ready,
                        errorMessage: nil,
                        commit: nil,
                        createdAt: now,
                        updatedAt: now
                    )
                )
                try transaction.insert(
                    Session(
                        id: session,
                        projectID: "p",
                        workspaceID: "w",
                        name: "n",
                        status: .ready,
                        createdAt: now,
                        updatedAt: now
                    )
                )
                for id: ID<Turn> in ["1", "2"] {
                    try transaction.insert(
                        Turn(
                            id: id,
                            sessionID: session,
                            messageID: "m\(id)",
                            options: .init(mode: "plan"),
                            createdAt: now
                        )
                    )
                }
            }
            try await body(store)
        }
    }

    private static func batch(_ first: Int, _ last: Int) -> ChunkBatch {
        ChunkBatch(first: first, last: last, lines: (first...last).map { "{\"n\":\($0)}" }.joined(separator: "\n"))
    }

    @Test(arguments: StoreBackend.allCases)
    func `stores each chunk once, whoever brings it`(backend: StoreBackend) async throws {
        try await Self.with(backend) { store in
            #expect(try await store.write { try $0.append(Self.batch(1, 3), to: "1") })
            #expect(try await store.write { try !$0.append(Self.batch(1, 3), to: "1") })
            #expect(try await store.write { try !$0.append(Self.batch(5, 6), to: "1") })
            #expect(try await store.write { try $0.append(Self.batch(4, 4), to: "1") })
            let turn = try await store.read { try $0.turn("1") }
            #expect(turn?.chunkCount == 4)
            #expect(turn?.options.mode == "plan")
            for (position, first) in [(0, 1), (1, 1), (2, 1), (3, 4)] {
                let batches = try await store.read { try $0.chunks(of: "1", after: position, limit: 10) }
                #expect(batches.first?.first == first)
                #expect(batches.last?.last == 4)
            }
            #expect(try await store.read { try $0.chunks(of: "1", after: 4, limit: 10) }.isEmpty)
            #expect(try await store.read { try $0.chunks(of: "1", after: 0, limit: 1) }.map(\.last) == [3])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `ends a turn once, and takes nothing afterwards`(backend: StoreBackend) async throws {
        try await Self.with(backend) { store in
            #expect(try await store.write { try $0.begin("1") })
            #expect(try await store.read { try $0.openTurns(of: Self.session) }.map(\.id) == ["1", "2"])
            #expect(try await store.write { try $0.end("1", as: .failed, error: "lost") })
            #expect(try await store.write { try !$0.end("1", as: .completed, error: nil) })
            #expect(try await store.write { try !$0.begin("1") })
            #expect(try await store.write { try !$0.append(Self.batch(1, 1), to: "1") })
            let ended = try await store.read { try $0.turn("1") }
            #expect(ended?.status == .failed)
            #expect(ended?.error == "lost")
            #expect(try await store.read { try $0.openTurns(of: Self.session) }.map(\.id) == ["2"])
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `lets only one turn of a session run`(backend: StoreBackend) async throws {
        try await Self.with(backend) { store in
            let hasBegun = try await store.write { try $0.begin("1") }
            #expect(hasBegun)
            await #expect(throws: ServerError.self) { try await store.write { _ = try $0.begin("2") } }
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `forgets chunks of old turns and keeps the turns`(backend: StoreBackend) async throws {
        try await Self.with(backend) { store in
            try await store.write { transaction in
                _ = try transaction.append(Self.batch(1, 3), to: "1")
                _ = try transaction.append(Self.batch(1, 3), to: "2")
                _ = try transaction.end("1", as: .completed, error: nil)
            }
            let later = Timestamp.now.advanced(by: .seconds(60))
            #expect(try await store.write { try $0.deleteChunks(endedBefore: later) } == 1)
            #expect(try await store.write { try $0.deleteChunks(endedBefore: later) } == 0)
            #expect(try await store.read { try $0.turn("1") }?.chunkCount == 3)
            #expect(try await store.read { try $0.chunks(of: "2", after: 0, limit: 10) }.count == 1)
        }
    }

    @Test(arguments: StoreBackend.allCases)
    func `removes a session with its conversation`(backend: StoreBackend) async throws {
        try await Self.with(backend) { store in
            try await store.write { transaction in
                _ = try transaction.append(Self.batch(1, 3), to: "1")
                try transaction.append(
                    Message(id: "m1", sessionID: Self.session, role: "user", parts: "[]", createdAt: .now)
                )
                #expect(try transaction.deleteSession(Self.session))
            }
            #expect(try await store.read { try $0.turn("1") } == nil)
            #expect(try await store.read { try $0.messages(of: Self.session) }.isEmpty)
        }
    }
}
