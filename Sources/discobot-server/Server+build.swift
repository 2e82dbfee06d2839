// SPDX-License-Identifier: Apache-2.0

import DiscobotAPI
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
package import DiscobotStore
import Hummingbird
package import Logging
package import ServiceLifecycle

/// The whole server, composed: used by `main` and by the tests.
package struct Server: Sendable {
    /// Everything that lives as long as the server, dependencies first.
    package let services: [any Service]
    /// To be closed when all services have ended.
    package let store: Store

    /// Opens the database and wires everything; throws `ServerError`.
    ///
    /// - Parameter onRunning: called with the port once the server answers.
    package static func build(
        _ options: ServerOptions,
        logger: Logger,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws -> Server {
        let origins = try AllowedOrigins(options.corsOrigins)
        let proxies = try TrustedProxies(options.trustedProxies)
        if let warning = options.exposureWarning {
            logger.warning("the server listens for other machines", metadata: ["reason": "\(warning)"])
        }
        let database = try await SQLiteDatabase(path: options.databasePath, lockTimeout: options.startTimeout) {
            logger.notice(
                "another server uses the database; waiting for it",
                metadata: ["path": "\(options.databasePath)"]
            )
        }
        try directories(options).createBase()
        try SandboxOwner.claim(options.local.root, for: options.databasePath)
        let store = try await Store(database)
        let parts = try await Parts(options, store: store, logger: logger)
        let services = parts.api
        let http = HTTPService(options: options, logger: logger, onRunning: onRunning) {
            Router(
                services: services,
                origins: origins,
                logsOrigins: options.isCORSDebugEnabled,
                address: options.host,
                proxies: proxies
            ).buildResponder()
        }
        let background = options.isDispatcherEnabled ? parts.background : []
        return Server(
            services: [parts.events, parts.turns, services.previews.activity] + background
                + previewListener(options, services, origins, proxies, logger) + [http],
            store: store
        )
    }

    private static func previewListener(
        _ options: ServerOptions,
        _ services: APIServices,
        _ origins: AllowedOrigins,
        _ proxies: TrustedProxies,
        _ logger: Logger
    ) -> [any Service] {
        guard let port = options.previewPort else { return [] }
        var own = options
        own.port = port
        return [
            HTTPService(options: own, logger: logger, onRunning: { _ in }) {
                Router(previews: services.previews, origins: origins, address: options.host, proxies: proxies)
                    .buildResponder()
            }
        ]
    }

    static func makeProviders(
        _ options: ServerOptions,
        logger: Logger = Logger(label: "discobot")
    ) -> SandboxProviders {
        if let providers = options.providers { return SandboxProviders(providers) }
        let local: [any SandboxProvider] = options.isLocalProviderEnabled ? [LocalSandboxProvider(options.local)] : []
        return SandboxProviders([DockerSandboxProvider(options.docker, logger: logger)] + local)
    }

    fileprivate static func directories(_ options: ServerOptions) -> WorkspaceDirectories {
        WorkspaceDirectories(base: options.workspaceDirectory)
    }
}

/// What the server is made of, each part from those before it.
private struct Parts {
    let events: EventBroker
    let turns: TurnFeed
    let api: APIServices
    /// What works by itself: jobs, and what looks after sandboxes.
    let background: [any Service]

    init(_ options: ServerOptions, store: Store, logger: Logger) async throws {
        let jobs = JobQueue(maxAttempts: options.maxJobAttempts)
        let directories = Server.directories(options)
        let providers = Server.makeProviders(options, logger: logger)
        let events = EventBroker(store: store, logger: logger, idleInterval: options.keepAliveInterval, encode: \.frame)
        let turns = TurnFeed(store: store, idleInterval: options.keepAliveInterval)
        let startup = StartupTasks(store: store, logger: logger)
        let sources = WorkspaceSources(providers: providers.names, home: options.homeDirectory)
        let projects = ProjectService(store: store, jobs: jobs)
        try await projects.seed()
        let workspaces = Self.workspaces(store, jobs, events, directories, sources)
        let secrets = try options.encryptionKey.map(SecretBox.init(hexKey:)) ?? SecretBox(keyFile: options.keyFile)
        let sandboxes = Self.sandboxes(options, store, jobs, events, providers, secrets, startup)
        let git = GitService(store: store, workspaces: workspaces)
        let activity = SessionActivity(store: store, logger: logger)
        let previews = PreviewService(store: store, sandboxes: sandboxes, secrets: secrets, activity: activity)
        api = APIServices(
            preferences: PreferenceService(store: store),
            projects: projects,
            workspaces: workspaces,
            sources: sources,
            suggestions: SuggestionService(isEnabled: options.areSuggestionsEnabled, home: options.homeDirectory),
            git: git,
            agents: AgentService(store: store),
            sessions: SessionService(store: store, jobs: jobs),
            sessionFiles: SessionFiles(sandboxes: sandboxes, git: git, activity: activity),
            commits: CommitService(store: store, jobs: jobs, git: git),
            terminals: TerminalService(store: store, sandboxes: sandboxes, activity: activity),
            sessionPrograms: SessionPrograms(sandboxes: sandboxes, previews: previews),
            chat: ChatService(store: store, jobs: jobs, feed: turns, sandboxes: sandboxes),
            previews: previews,
            events: events,
            sandboxes: sandboxes,
            status: StatusService(store: store, providers: providers, startup: startup),
            previewPort: options.previewPort
        )
        let credentials = AgentCredentials(environment: options.agentEnvironment)
        let handlers: [any JobHandler] = [
            InitializeWorkspaceJob(store: store, directories: directories),
            RemoveWorkspaceFilesJob(directories: directories),
            RemoveProjectFilesJob(directories: directories, sandboxes: sandboxes),
            InitializeSessionJob(sandboxes: sandboxes, workspaces: workspaces),
            StopSessionJob(sandboxes: sandboxes),
            DeleteSessionJob(sandboxes: sandboxes, git: git, directories: directories),
            RunTurnJob(sandboxes: sandboxes, feed: turns, credentials: credentials, logger: logger),
            CommitSessionJob(sandboxes: sandboxes, git: git, directories: directories, feed: turns),
            RebaseSessionJob(sandboxes: sandboxes, git: git),
        ]
        background =
            [
                JobDispatcher(store: store, settings: options.dispatcher, handlers: handlers, logger: logger),
                SandboxWatcher(store: store, jobs: jobs, providers: providers, logger: logger),
                SessionUpkeep(store: store, jobs: jobs, settings: options.upkeep, logger: logger), startup,
            ] + Self.imagePulls(providers, startup, logger)
        self.events = events
        self.turns = turns
    }

    private static func workspaces(
        _ store: Store,
        _ jobs: JobQueue,
        _ events: EventBroker,
        _ directories: WorkspaceDirectories,
        _ sources: WorkspaceSources
    ) -> WorkspaceService {
        WorkspaceService(store: store, jobs: jobs, events: events, directories: directories, sources: sources)
    }

    private static func sandboxes(
        _ options: ServerOptions,
        _ store: Store,
        _ jobs: JobQueue,
        _ events: EventBroker,
        _ providers: SandboxProviders,
        _ secrets: SecretBox,
        _ startup: StartupTasks
    ) -> SandboxService {
        SandboxService(
            store: store,
            jobs: jobs,
            events: events,
            providers: providers,
            secrets: secrets,
            limits: options.limits,
            startup: startup
        )
    }

    private static func imagePulls(
        _ providers: SandboxProviders,
        _ tasks: StartupTasks,
        _ logger: Logger
    ) -> [any Service] {
        providers.all.compactMap { provider in
            guard let source = provider as? any SandboxImageSource else { return nil }
            return ImagePull(of: provider.name, from: source, tasks: tasks, logger: logger)
        }
    }
}
