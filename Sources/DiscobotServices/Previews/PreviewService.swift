// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore
package import DiscobotTunnel
package import NIOCore

/// The way from a browser to the services of sessions.
package struct PreviewService: Sendable {
    private let store: Store
    private let sandboxes: SandboxService
    private let secrets: SecretBox
    package let activity: SessionActivity
    private let aliases = PreviewAliases()
    private let idle = IdleTunnels()

    package init(store: Store, sandboxes: SandboxService, secrets: SecretBox, activity: SessionActivity) {
        self.store = store
        self.sandboxes = sandboxes
        self.secrets = secrets
        self.activity = activity
    }

    /// The session that a host name means; nil when there is none, or more than one.
    package func session(named label: PreviewLabel) async throws -> Session? {
        try await store.read { transaction in
            if let exact = try transaction.session(ID(rawValue: label.session)) { return exact }
            guard label.isAlias else { return try transaction.session(ignoringCase: label.session) }
            return try aliases.id(of: label.session) { try transaction.awkwardSessionIDs(limit: 100_000) }
                .flatMap { try transaction.session($0) }
        }
    }

    /// A session by its id, for whoever knows the secret of the service's address; nil for anybody else.
    package func session(_ id: ID<Session>, service: String, secret: String) async throws -> Session? {
        guard secrets.isValid(code: secret, for: Self.place(id, service)) else { return nil }
        return try await store.read { try $0.session(id) }
    }

    /// What the address of a service holds that nobody can guess.
    package func secret(_ id: ID<Session>, service: String) -> String {
        secrets.code(for: Self.place(id, service))
    }

    private static func place(_ id: ID<Session>, _ service: String) -> String { "preview/\(id)/\(service)" }

    /// Where connections to a service wait for their next use.
    package func keptConnections(to service: String, of session: ID<Session>) -> IdleTunnels.Place {
        idle.place(Self.place(session, service))
    }

    /// Closes the connections that wait, so that a service need not wait for them when it ends.
    func closeKeptConnections(to service: String, of session: ID<Session>) {
        idle.close(Self.place(session, service))
    }

    /// A connection to a service; sandbox and service are started when they do not run, unless the user has stopped the
    /// service.
    ///
    /// Throws `ServiceRefusal` when there is no way to the service, and `ServerError` when there is none to its sandbox:
    /// `unavailable` when that is not there within `patience`.
    package func connect(
        to service: String,
        of session: Session,
        patience: Duration,
        on eventLoop: any EventLoop
    ) async throws -> TunnelOwner {
        let deadline = ContinuousClock.now + patience
        let agent = try await sandboxes.agent(of: session.id, in: session.projectID, patience: patience)
        return try await translatingSandboxErrors {
            let rest = max(.zero, deadline - .now)
            return try await agent.tunnel(toService: service, wait: rest, on: eventLoop)
        }
    }
}
