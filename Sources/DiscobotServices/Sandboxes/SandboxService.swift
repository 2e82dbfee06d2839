// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
package import DiscobotModel
package import DiscobotSandbox
package import DiscobotStore
import ServiceLifecycle

/// The sandboxes of sessions: made and started by jobs, used through their agents.
package struct SandboxService: Sendable {
    let store: Store
    let jobs: JobQueue
    private let events: EventBroker
    let providers: SandboxProviders
    private let secrets: SecretBox
    /// What a sandbox may use.
    let limits: SandboxSpecification.Limits
    /// Where it is shown that an image is fetched.
    private let startup: StartupTasks

    package init(
        store: Store,
        jobs: JobQueue,
        events: EventBroker,
        providers: SandboxProviders,
        secrets: SecretBox,
        limits: SandboxSpecification.Limits,
        startup: StartupTasks
    ) {
        self.store = store
        self.jobs = jobs
        self.events = events
        self.providers = providers
        self.secrets = secrets
        self.limits = limits
        self.startup = startup
    }

    /// The agent of a session whose sandbox runs; nil otherwise, and when the secret that it asks for is lost. Nothing is
    /// started.
    package func runningAgent(of session: Session) async throws -> AgentClient? {
        guard let name = session.sandboxProvider, session.status != .removing else { return nil }
        return try await translatingSandboxErrors {
            let provider = try providers.provider(named: name)
            guard try await provider.sandbox(of: session.id)?.status == .running,
                let secret = try await knownSecret(of: session.id)
            else { return nil }
            do {
                return AgentClient(endpoint: try await provider.endpoint(of: session.id), secret: secret)
            } catch let error as SandboxError where [.notRunning, .notFound].contains(error.code) {
                // It has just ended.
                return nil
            }
        }
    }

    /// The agent of a session, whose sandbox is started, or made anew, when it does not run.
    ///
    /// Waits as long as the preparation takes, or throws `unavailable` after `patience`. Throws `operationFailed` with the
    /// reason when the preparation fails, and `notFound` when the session is gone.
    package func agent(
        of id: ID<Session>,
        in project: ID<Project>,
        patience: Duration? = nil
    ) async throws -> AgentClient {
        try await agent(of: id, in: project, patience: patience, noting: nil)
    }

    /// - Parameter end: told what has ended a sandbox that is about to be replaced.
    func agent(
        of id: ID<Session>,
        in project: ID<Project>,
        patience: Duration? = nil,
        noting end: SandboxEnd?
    ) async throws -> AgentClient {
        let subscription = try await events.subscribe(to: project, from: .now)
        defer { events.unsubscribe(subscription) }
        return try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: AgentClient.self) { group in
                group.addTask { try await agent(of: id, in: project, subscription, noting: end) }
                if let patience {
                    group.addTask {
                        try await Task.sleep(upTo: patience)
                        throw ServerError(.unavailable, "the session is still being prepared; try again later")
                    }
                }
                defer { group.cancelAll() }
                guard let agent = try await group.next() else { throw CancellationError() }
                return agent
            }
        } onGracefulShutdown: {
            subscription.finish()
        }
    }

    private func agent(
        of id: ID<Session>,
        in project: ID<Project>,
        _ subscription: EventSubscription,
        noting end: SandboxEnd?
    ) async throws -> AgentClient {
        // An error of an earlier preparation is no reason not to try again.
        var restarts = 0
        var hasSeenPreparation = false
        var wakeUps = subscription.makeAsyncIterator()
        while await wakeUps.next() != nil {
            _ = try await events.next(subscription)
            guard let session = try await store.read({ try $0.session(id, of: project) }), session.status != .removing
            else { throw ServerError.notFound("Session not found") }
            if session.status == .ready || session.status == .running {
                if let agent = try await runningAgent(of: session) { return agent }
            } else if session.status == .error, restarts > 0 || hasSeenPreparation {
                throw ServerError(.operationFailed, session.errorMessage ?? "the session could not be prepared")
            }
            if session.status.isPreparing { hasSeenPreparation = true } else { await end?.note(reason(of: session)) }
            guard try await restart(id, in: project) else { continue }
            restarts += 1
            guard restarts <= Self.maximumRestarts else {
                throw ServerError(.operationFailed, "the sandbox ends as soon as it has started")
            }
        }
        throw CancellationError()
    }

    private static let maximumRestarts = 3

    /// Nil where nobody can tell.
    private func reason(of session: Session) async -> String? {
        guard let name = session.sandboxProvider, let provider = try? providers.provider(named: name),
            let sandbox = try? await provider.sandbox(of: session.id) as Sandbox??
        else { return nil }
        return sandbox.end
    }

    /// Prepares a session anew; false when that is under way.
    private func restart(_ id: ID<Session>, in project: ID<Project>) async throws -> Bool {
        try await store.write { transaction in
            guard var session = try transaction.session(id, of: project),
                try !session.status.isPreparing
                    || !transaction.hasActiveJob(InitializeSessionJob.kind, on: .session(id))
            else { return false }
            if session.status.canBecome(.reinitializing) {
                session.become(.reinitializing)
                try transaction.update(session)
                try transaction.append(.sessionUpdated(session), to: project)
            }
            return try jobs.enqueue(InitializeSessionJob.self, session, in: transaction)
        }
    }

    /// The secret that the session's agent asks for; nil when there is none yet, or none that can be opened.
    func knownSecret(of id: ID<Session>) async throws -> AgentSecret? {
        guard let sealed = try await store.read({ try $0.sandboxSecret(of: id) }) else { return nil }
        return (try? secrets.open(sealed, for: Self.place(of: id))).map(AgentSecret.init)
    }

    /// The secret for a sandbox that is made now: a new one where none is known.
    func secretForCreation(of id: ID<Session>) async throws -> AgentSecret {
        if let known = try await knownSecret(of: id) { return known }
        let secret = AgentSecret.random()
        let sealed = try secrets.seal(secret.value, for: Self.place(of: id))
        try await store.write { try $0.setSandboxSecret(sealed, of: id) }
        return secret
    }

    private static func place(of id: ID<Session>) -> String { "sessions/\(id)/sandbox_secret" }

    /// The provider of a session's sandbox: the one that it has been made with, else the workspace's, else the default.
    func provider(of session: Session, _ workspace: Workspace) async throws -> any SandboxProvider {
        try await translatingSandboxErrors {
            let wanted = session.sandboxProvider ?? (workspace.provider.isEmpty ? nil : workspace.provider)
            if let wanted { return try providers.provider(named: wanted) }
            return try providers.provider(named: try await providers.defaultName())
        }
    }

    /// Whether a sandbox that is made now has to wait for its image.
    func lacksImage(_ provider: any SandboxProvider) async -> Bool {
        guard let source = provider as? any SandboxImageSource else { return false }
        // An image that only somebody else can bring is not waited for.
        return (try? await source.isImagePresent()) == false
    }

    /// Fetches the image of a provider's sandboxes. Others may wait for the same pull, which goes on when the caller gives up.
    func fetchImage(of provider: any SandboxProvider) async throws {
        guard let source = provider as? any SandboxImageSource else { return }
        let fetch = ImageFetch(provider: provider.name, source: source, tasks: startup)
        // Shows the pull to its end, which comes by itself, also when this caller has given up.
        Task { try? await fetch.run() }
        try await source.pullImage { _ in }
    }

    /// Stops a session's sandbox; its data stays.
    func stop(_ session: Session) async throws {
        guard let name = session.sandboxProvider else { return }
        try await translatingSandboxErrors {
            let provider = try providers.provider(named: name)
            if try await provider.sandbox(of: session.id) != nil { try await provider.stop(session.id) }
        }
    }

    /// Removes the sandboxes that a session may have, with their data.
    ///
    /// - Parameter maker: the provider of the session's sandbox. Any other need not be there: what it may have from an
    ///   earlier session with this id, the watcher finds when it comes.
    func remove(_ id: ID<Session>, madeBy maker: String?) async throws {
        try await translatingSandboxErrors {
            for provider in providers.all {
                do {
                    try await provider.remove(id, keepingData: false)
                } catch let error as SandboxError where error.code == .unavailable && provider.name != maker {
                    continue
                }
            }
        }
    }
}
