// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

extension DockerSandboxProvider {
    package func create(_ specification: SandboxSpecification) async throws { throw Self.missing }
    package func start(_ id: ID<Session>) async throws { throw Self.missing }
    package func stop(_ id: ID<Session>) async throws { throw Self.missing }
    package func remove(_ id: ID<Session>, keepingData: Bool) async throws {}
    package func sandbox(of id: ID<Session>) async throws -> Sandbox? { nil }
    package func sandboxes() async throws -> [Sandbox] { [] }
    package func changes() -> AsyncStream<SandboxChange> { AsyncStream { $0.finish() } }
    package func endpoint(of id: ID<Session>) async throws -> AgentEndpoint { throw Self.missing }
    package func removeCache(of project: ID<Project>) async throws {}
    private static var missing: SandboxError {
        SandboxError(.unavailable, "this version cannot run sandboxes with Docker; use the provider local")
    }
}
