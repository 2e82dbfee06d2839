// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import DiscobotStore

/// What a session's working copy can run besides its agent: services and hooks. They live in its sandbox, which is started
/// when it does not run.
///
/// Everything throws `notFound` for an unknown session, what the sandbox's agent says, and `unavailable` when the sandbox
/// takes too long.
package struct SessionPrograms: Sendable {
    package typealias Target = SessionFiles.Target

    private let sandboxes: SandboxService
    private let previews: PreviewService

    private var activity: SessionActivity { previews.activity }

    package init(sandboxes: SandboxService, previews: PreviewService) {
        self.sandboxes = sandboxes
        self.previews = previews
    }

    package func services(of target: Target) async throws -> [ServiceInfo] {
        try await withAgent(of: target) { try await $0.services() }
    }

    /// Throws `conflict` when it runs already, and `invalidArgument` when it cannot be started from here.
    package func startService(_ id: String, of target: Target) async throws -> ServiceResponse {
        try await withAgent(of: target) { try await $0.startService(id) }
    }

    /// Returns when it has ended; throws `invalidArgument` when it does not run.
    package func stopService(_ id: String, of target: Target) async throws -> ServiceResponse {
        previews.closeKeptConnections(to: id, of: target.session)
        return try await withAgent(of: target) { try await $0.stopService(id) }
    }

    /// Throws `notFound` for an unknown session.
    package func requireSession(of target: Target) async throws {
        guard try await sandboxes.store.read({ try $0.session(target.session, of: target.project) }) != nil else {
            throw ServerError.notFound("Session not found")
        }
    }

    /// The output of a service from now on until the feed is stopped; whatever keeps it from being read is told as a piece.
    package func serviceOutput(_ id: String, after lastEventID: String?, of target: Target) -> ServiceOutputFeed {
        ServiceOutputFeed { handle in
            try await withAgent(of: target) { try await $0.followServiceOutput(id, after: lastEventID, handle: handle) }
        }
    }

    package func hooks(of target: Target) async throws -> HooksStatusResponse {
        try await withAgent(of: target) { try await $0.hooks() }
    }

    package func hookOutput(_ id: String, of target: Target) async throws -> HookOutputResponse {
        try await withAgent(of: target) { try await $0.hookOutput(id) }
    }

    /// Returns when the hook has ended, which may take minutes.
    package func rerunHook(_ id: String, of target: Target) async throws -> HookRunResponse {
        try await withAgent(of: target) { try await $0.rerunHook(id) }
    }

    private func withAgent<Value>(of target: Target, _ body: (AgentClient) async throws -> Value) async throws -> Value
    {
        let agent = try await sandboxes.agent(of: target.session, in: target.project, patience: .seconds(60))
        return try await activity.during(target.session) {
            try await translatingSandboxErrors { try await body(agent) }
        }
    }
}
