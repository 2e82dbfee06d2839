// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotModel
package import DiscobotSandbox
package import DiscobotStore
package import DiscobotTunnel
package import NIOCore

/// The terminals of sessions, which their sandboxes hold: one for each user.
package struct TerminalService: Sendable {
    private let store: Store
    private let sandboxes: SandboxService
    private let activity: SessionActivity

    package init(store: Store, sandboxes: SandboxService, activity: SessionActivity) {
        self.store = store
        self.sandboxes = sandboxes
        self.activity = activity
    }

    /// Whose terminal.
    package struct Target: Sendable {
        let session: ID<Session>
        let project: ID<Project>
        let user: ID<User>

        package init(session: ID<Session>, project: ID<Project>, user: ID<User>) {
            self.session = session
            self.project = project
            self.user = user
        }
    }

    /// A terminal that somebody may look at now.
    package struct Connection: Sendable {
        let target: Target
        let agent: AgentClient
        /// Closed where nobody uses it in the end.
        let tunnel: TunnelOwner
    }

    /// The state of the sandbox that a terminal would be in.
    package enum Status: Sendable {
        case notCreated
        case unavailable(String)
        case sandbox(Sandbox)
    }

    /// Connects to the terminal; its sandbox is started when it does not run, and so is its shell.
    ///
    /// Throws `notFound` for an unknown session, `forbidden` when root is not to be had, `unavailable` when the sandbox
    /// takes too long.
    package func connect(
        to target: Target,
        size: TerminalSize,
        root: Bool,
        on eventLoop: any EventLoop
    ) async throws -> Connection {
        let agent = try await sandboxes.agent(of: target.session, in: target.project, patience: .seconds(60))
        do {
            return try await connect(agent, target, size, root, eventLoop)
        } catch let error as AgentError where error.code == .unreachable {
            // It has just ended, which is not known everywhere yet.
            try await Task.sleep(for: .seconds(1))
            let agent = try await sandboxes.agent(of: target.session, in: target.project, patience: .seconds(60))
            return try await translatingSandboxErrors { try await connect(agent, target, size, root, eventLoop) }
        } catch let error as AgentError {
            throw ServerError(error)
        }
    }

    private func connect(
        _ agent: AgentClient,
        _ target: Target,
        _ size: TerminalSize,
        _ root: Bool,
        _ eventLoop: any EventLoop
    ) async throws -> Connection {
        // The shell before, which may have ended while nobody looked, is forgotten when the next begins.
        let last = try? await agent.terminalState(of: target.user.rawValue)
        if let last { try await remember(last, of: target) }
        let tunnel = try await agent.terminal(of: target.user.rawValue, size: size, root: root, on: eventLoop)
        return Connection(target: target, agent: agent, tunnel: TunnelOwner(tunnel))
    }

    /// Carries messages between somebody and a terminal until one of them ends.
    @concurrent
    package func relay(_ connection: Connection, to viewer: WebSocket) async throws {
        let id = connection.target.session
        await activity.touch(id)
        let end = activity.begin(id)
        defer { end() }
        if try await TerminalRelay.run(viewer, over: connection.tunnel.tunnel) {
            let user = connection.target.user.rawValue
            guard let state = try? await connection.agent.terminalState(of: user) else { return }
            try await remember(state, of: connection.target)
        }
    }

    /// Stores that a shell has ended, and what it has shown, unless that is known: whoever looks may find out.
    private func remember(_ state: TerminalState, of target: Target) async throws {
        guard let shell = state.shell, let exitCode = state.exitCode else { return }
        // Of one moment, so ordered by their ids.
        let output = TerminalEntry(
            id: "\(shell)-1",
            sessionID: target.session,
            kind: TerminalEntry.output,
            content: state.output
        )
        let end = TerminalEntry(
            id: "\(shell)-2",
            sessionID: target.session,
            kind: TerminalEntry.system,
            content: "shell exited",
            exitCode: exitCode,
            createdAt: output.createdAt
        )
        try await store.write { transaction in
            guard try transaction.append(end), !output.content.isEmpty else { return }
            try transaction.append(output)
        }
    }

    /// What has happened in the session's terminals, the newest first: what the user's own shows now, then the shells that
    /// have ended. Starts nothing.
    package func history(of target: Target, limit: Int) async throws -> [TerminalEntry] {
        let session = try await session(target)
        let agent = try? await sandboxes.runningAgent(of: session)
        let state = try? await agent?.terminalState(of: target.user.rawValue)
        if let state { try await remember(state, of: target) }
        var entries = try await store.read { try $0.terminalHistory(of: target.session, limit: limit) }
        if let state, state.isRunning, !state.output.isEmpty {
            entries.insert(
                TerminalEntry(id: "now", sessionID: session.id, kind: TerminalEntry.output, content: state.output),
                at: 0
            )
        }
        return Array(entries.prefix(limit))
    }

    package func status(of target: Target) async throws -> Status {
        let session = try await session(target)
        guard let name = session.sandboxProvider else { return .notCreated }
        do {
            let sandbox = try await sandboxes.providers.provider(named: name).sandbox(of: session.id)
            return sandbox.map(Status.sandbox) ?? .notCreated
        } catch let error as SandboxError {
            return .unavailable(error.message)
        }
    }

    /// Throws `notFound` for an unknown session.
    package func session(_ target: Target) async throws -> Session {
        let session = try await store.read { try $0.session(target.session, of: target.project) }
        guard let session else { throw ServerError.notFound("Session not found") }
        return session
    }
}
