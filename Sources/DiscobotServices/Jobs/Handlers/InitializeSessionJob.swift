// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore

/// Makes a session usable: its agent is known, its workspace prepared, its sandbox runs and answers.
package struct InitializeSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
    }

    package static let kind: Job.Kind = "session_init"
    /// Most of them wait, for clones and for agents; the time is that of both.
    package static let policy = JobPolicy(concurrency: 64, timeout: .seconds(1500))

    /// How long the agent in a new sandbox may take to make its working copy.
    private static let agentPatience: Duration = .seconds(300)
    private static let lookInterval: Duration = .milliseconds(100)
    /// How long the workspace's repository may take to be cloned.
    private static let workspacePatience: Duration = .seconds(1000)

    private let sandboxes: SandboxService
    private let workspaces: WorkspaceService

    package init(sandboxes: SandboxService, workspaces: WorkspaceService) {
        self.sandboxes = sandboxes
        self.workspaces = workspaces
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        guard let (session, workspace) = try await begin(payload) else { return { _ in } }
        let repository = try await workspaces.repository(
            of: workspace.id,
            in: payload.projectId,
            patience: Self.workspacePatience
        )
        let provider = try await sandboxes.provider(of: session, workspace)
        // Somebody waits for all of this, so git and the sandboxes' engine are asked side by side.
        async let commit = startCommit(session, repository)
        let (isRunning, lacksImage) = try await translatingSandboxErrors { try await look(session, provider) }
        let prepared = try await settleSource(
            session,
            repository.directory,
            try await commit,
            provider,
            lacksImage: lacksImage
        )
        try await translatingSandboxErrors {
            if prepared.status == .pullingImage { try await fetchImage(payload, provider) }
            let isAlive = isRunning ? try await isAlive(prepared, provider) : false
            if !isAlive { try await create(prepared, workspace, provider) }
            // Beside the start, which leaves a processor free; making a sandbox does not.
            async let isKept: Void = keepCommit(prepared, repository)
            if !isAlive { try await provider.start(session.id) }
            try await waitForAgent(prepared, provider)
            try await isKept
        }
        return { try Self.change(payload, to: .ready, in: $0) }
    }

    /// A sandbox that runs and is no use is stopped.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {
        let failed = try Self.change(payload, to: .error, in: transaction) { $0.errorMessage = reason }
        if let failed { try sandboxes.jobs.enqueue(StopSessionJob.self, failed, in: transaction) }
    }

    /// Finds the session's agent and workspace; nil when the session is gone or about to go.
    private func begin(_ payload: Payload) async throws -> (Session, Workspace)? {
        try await sandboxes.store.write { transaction in
            guard let session = try transaction.session(payload.sessionId, of: payload.projectId),
                session.status.isPreparing
            else { return nil }
            guard let workspace = try transaction.workspace(session.workspaceID, of: payload.projectId) else {
                throw ServerError.notFound("the session's workspace is gone")
            }
            let agent = try transaction.agent(for: session)
            let isCloning = workspace.sourceType == .git && workspace.status != .ready
            let status = isCloning && session.status.canBecome(.cloning) ? .cloning : session.status
            let begun = try Self.change(payload, to: status, in: transaction) { $0.agentID = agent.id }
            return begun.map { ($0, workspace) }
        }
    }

    /// Nil for an empty repository.
    private func startCommit(_ session: Session, _ repository: GitRepository) async throws -> String? {
        guard repository.isSelfContained else {
            throw ServerError.conflict(
                "the workspace \(repository.directory) is a linked worktree or a submodule, or borrows objects from another "
                    + "repository, which sandboxes do not see; make a workspace of a repository of its own"
            )
        }
        if let commit = session.workspaceCommit { return commit }
        return try await translatingGitErrors("prepare the workspace") { try await repository.headCommit() }
    }

    /// Whether the session's sandbox runs, and otherwise whether one that is made now has to wait for its image.
    private func look(
        _ session: Session,
        _ provider: any SandboxProvider
    ) async throws -> (isRunning: Bool, lacksImage: Bool) {
        async let lacksImage = sandboxes.lacksImage(provider)
        if session.sandboxProvider == nil {
            // What is left of an earlier session with this id is not this one's.
            try await sandboxes.remove(session.id, madeBy: provider.name)
        } else if try await provider.sandbox(of: session.id)?.status == .running {
            return (true, false)
        }
        return (false, await lacksImage)
    }

    /// Notes once and for all where the session starts from.
    private func settleSource(
        _ session: Session,
        _ directory: String,
        _ commit: String?,
        _ provider: any SandboxProvider,
        lacksImage: Bool
    ) async throws -> Session {
        let payload = Payload(projectId: session.projectID, sessionId: session.id)
        let next: SessionStatus =
            lacksImage && session.status.canBecome(.pullingImage) ? .pullingImage : .creatingSandbox
        let changed = try await sandboxes.store.write { transaction in
            try Self.change(payload, to: next, in: transaction) {
                $0.workspacePath = directory
                $0.workspaceCommit = commit
                $0.sandboxProvider = provider.name
            }
        }
        guard let changed else { throw ServerError.notFound("Session not found") }
        return changed
    }

    /// Keeps git from ever removing the commit that the session starts from. That is done once the session's row says so:
    /// whoever removes the session knows the repository then, and lets the commit go.
    private func keepCommit(_ session: Session, _ repository: GitRepository) async throws {
        guard let commit = session.workspaceCommit else { return }
        try await translatingGitErrors("prepare the workspace") {
            // A git that is killed leaves a lock on the ref, which nobody could remove then.
            try await withoutCancellation { try await repository.setRef(session.id.keepRef, to: commit) }
        }
    }

    /// How far it is shows among what the server does in the background.
    private func fetchImage(_ payload: Payload, _ provider: any SandboxProvider) async throws {
        try await sandboxes.fetchImage(of: provider)
        try await sandboxes.store.write { _ = try Self.change(payload, to: .creatingSandbox, in: $0) }
    }

    /// Whether the agent of a sandbox that runs has nothing to complain of; it may still be making its working copy.
    private func isAlive(_ session: Session, _ provider: any SandboxProvider) async throws -> Bool {
        guard let agent = try await client(session, provider), let health = try? await agent.health() else {
            return false
        }
        return health.error == nil
    }

    private func create(_ session: Session, _ workspace: Workspace, _ provider: any SandboxProvider) async throws {
        try await provider.create(
            SandboxSpecification(
                sessionID: session.id,
                projectID: session.projectID,
                workspaceID: workspace.id,
                workspacePath: session.workspacePath ?? workspace.path,
                workspaceSource: workspace.path,
                workspaceCommit: session.workspaceCommit,
                secretVerifier: try await sandboxes.secretForCreation(of: session.id).verifier(),
                network: workspace.network,
                limits: sandboxes.limits.overridden(by: workspace.limits)
            )
        )
    }

    private func client(_ session: Session, _ provider: any SandboxProvider) async throws -> AgentClient? {
        guard let secret = try await sandboxes.knownSecret(of: session.id) else { return nil }
        return AgentClient(endpoint: try await provider.endpoint(of: session.id), secret: secret)
    }

    /// Waits for the agent's working copy to be ready. Nobody tells when a socket begins to answer, so it is tried again
    /// after a wait that is a twentieth of the time so far: that little is lost at most.
    private func waitForAgent(_ session: Session, _ provider: any SandboxProvider) async throws {
        guard let agent = try await client(session, provider) else {
            throw ServerError(.operationFailed, "the secret of the session's sandbox is lost")
        }
        let start = ContinuousClock.now
        // Looking at a sandbox takes much longer than asking its agent.
        var nextLook = start + Self.lookInterval
        while case let waited = start.duration(to: .now), waited < Self.agentPatience {
            if let health = try? await agent.settledHealth() {
                if health.connected { return }
                // Trying again would not help: the data and the source stay what they are.
                if let error = health.error { throw ServerError.conflict(error) }
            } else if nextLook < .now {
                let sandbox = try await provider.sandbox(of: session.id)
                guard sandbox?.status == .running else {
                    throw SandboxError(.startFailed, sandbox?.error ?? "the sandbox ended while it was starting")
                }
                nextLook = .now + Self.lookInterval
            }
            try await Task.sleep(for: min(max(waited / 20, .milliseconds(1)), .milliseconds(250)))
        }
        throw SandboxError(.timedOut, "the sandbox's agent did not get ready in time")
    }

    /// - Returns: the session as it is now; nil when it may no longer become that.
    @discardableResult
    private static func change(
        _ payload: Payload,
        to status: SessionStatus,
        in transaction: Transaction,
        _ edit: (inout Session) -> Void = { _ in }
    ) throws -> Session? {
        guard var session = try transaction.session(payload.sessionId, of: payload.projectId),
            session.status.isPreparing, session.status.canBecome(status)
        else { return nil }
        session.become(status)
        edit(&session)
        try transaction.update(session)
        try transaction.append(.sessionUpdated(session), to: payload.projectId)
        return session
    }
}

extension JobQueue {
    /// Prepares a session; false when that is under way.
    @discardableResult
    func enqueue(
        _ handler: InitializeSessionJob.Type,
        _ session: Session,
        in transaction: Transaction
    ) throws -> Bool {
        let payload = InitializeSessionJob.Payload(projectId: session.projectID, sessionId: session.id)
        return try enqueue(
            handler,
            payload,
            project: session.projectID,
            resource: .session(session.id),
            in: transaction
        )
    }
}
