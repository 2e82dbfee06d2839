// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotSandbox
import Synchronization

/// Sandboxes that exist in memory only. The agent of each is a unix socket that the test serves.
package final class MockSandboxProvider: SandboxProvider {
    package let name: String
    private let socket: @Sendable (ID<Session>) -> String
    private let sandboxes = Mutex<[ID<Session>: Sandbox]>([:])
    private let feed = SandboxChangeFeed()
    private let absence: SandboxError?
    private let caches: Result<[CacheVolume]?, SandboxError>
    private let cacheRemoval: @Sendable () throws -> Void

    /// - Parameters:
    ///   - absence: why nothing can be removed now.
    ///   - caches: what projects share, or why nobody can tell.
    ///   - cacheRemoval: removes that.
    ///   - socket: the path of the agent's socket for a session.
    package init(
        name: String = "mock",
        absence: SandboxError? = nil,
        caches: Result<[CacheVolume]?, SandboxError> = .success(nil),
        cacheRemoval: @escaping @Sendable () throws -> Void = {},
        socket: @escaping @Sendable (ID<Session>) -> String = { "/nonexistent/\($0)/agent.sock" }
    ) {
        self.name = name
        self.absence = absence
        self.caches = caches
        self.cacheRemoval = cacheRemoval
        self.socket = socket
    }

    package func state() async -> ProviderState { .available(version: nil) }

    package func create(_ specification: SandboxSpecification) async throws {
        let sandbox = Sandbox(
            sessionID: specification.sessionID,
            projectID: specification.projectID,
            status: .created,
            image: "mock",
            createdAt: .now
        )
        sandboxes.withLock { $0[specification.sessionID] = sandbox }
        feed.publish(specification.sessionID)
    }

    package func start(_ id: ID<Session>) async throws {
        try change(id) { $0.status == .running ? $0 : $0.with(.running, startedAt: .now) }
    }

    package func stop(_ id: ID<Session>) async throws {
        try change(id) { $0.status == .running ? $0.with(.stopped, startedAt: $0.startedAt, stoppedAt: .now) : $0 }
    }

    /// As if the runtime had crashed.
    package func fail(_ id: ID<Session>, error: String) throws {
        try change(id) { $0.with(.failed, startedAt: $0.startedAt, stoppedAt: .now, error: error) }
    }

    package func remove(_ id: ID<Session>, keepingData: Bool) async throws {
        if let absence { throw absence }
        sandboxes.withLock { $0[id] = nil }
        feed.publish(id)
    }

    package func sandbox(of id: ID<Session>) async throws -> Sandbox? {
        sandboxes.withLock { $0[id] }
    }

    package func sandboxes() async throws -> [Sandbox] {
        sandboxes.withLock { $0.values.sorted { $0.sessionID.rawValue < $1.sessionID.rawValue } }
    }

    package func changes() -> AsyncStream<SandboxChange> {
        feed.changes {
            self.sandboxes.withLock { Array($0.keys) }
        } look: { id in
            try await self.sandbox(of: id)
        }
    }

    package func endpoint(of id: ID<Session>) async throws -> AgentEndpoint {
        guard let sandbox = try await sandbox(of: id) else { throw Self.unknown }
        guard sandbox.status == .running else { throw SandboxError(.notRunning, "the sandbox does not run") }
        return .unixSocket(path: socket(id))
    }

    package func caches(of project: ID<Project>) async throws -> [CacheVolume]? { try caches.get() }

    package func removeCache(of project: ID<Project>) async throws { try cacheRemoval() }

    private static var unknown: SandboxError { SandboxError(.notFound, "the session has no sandbox") }

    private func change(_ id: ID<Session>, _ next: (Sandbox) -> Sandbox) throws {
        try sandboxes.withLock { sandboxes in
            guard let sandbox = sandboxes[id] else { throw Self.unknown }
            sandboxes[id] = next(sandbox)
        }
        feed.publish(id)
    }
}

extension Sandbox {
    fileprivate func with(
        _ status: Status,
        startedAt: Timestamp?,
        stoppedAt: Timestamp? = nil,
        error: String? = nil
    ) -> Sandbox {
        Sandbox(
            sessionID: sessionID,
            projectID: projectID,
            status: status,
            image: image,
            createdAt: createdAt,
            startedAt: startedAt,
            stoppedAt: stoppedAt,
            error: error
        )
    }
}
