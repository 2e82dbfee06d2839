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
        let database = try await SQLiteDatabase(path: options.databasePath, lockTimeout: options.startTimeout) {
            logger.notice(
                "another server uses the database; waiting for it",
                metadata: ["path": "\(options.databasePath)"]
            )
        }
        try directories(options).createBase()
        let store = try await Store(database)
        let broker = EventBroker(store: store, logger: logger, encode: \.frame)
        let services = try await makeServices(options, store: store, broker: broker)
        let http = HTTPService(options: options, logger: logger, onRunning: onRunning) {
            Router(services: services, origins: origins, logsOrigins: options.isCORSDebugEnabled, address: options.host)
                .buildResponder()
        }
        let dispatcher = options.isDispatcherEnabled ? [makeDispatcher(options, store: store, logger: logger)] : []
        return Server(services: [broker] + dispatcher + [http], store: store)
    }

    private static func makeServices(
        _ options: ServerOptions,
        store: Store,
        broker: EventBroker
    ) async throws -> APIServices {
        let jobs = JobQueue(maxAttempts: options.maxJobAttempts)
        let providers = makeProviders(options)
        let sources = WorkspaceSources(providers: providers.names, home: options.homeDirectory)
        let projects = ProjectService(store: store, jobs: jobs)
        try await projects.seed()
        let workspaces = WorkspaceService(
            store: store,
            jobs: jobs,
            events: broker,
            directories: directories(options),
            sources: sources
        )
        return APIServices(
            preferences: PreferenceService(store: store),
            projects: projects,
            workspaces: workspaces,
            sources: sources,
            suggestions: SuggestionService(isEnabled: options.areSuggestionsEnabled, home: options.homeDirectory),
            git: GitService(store: store, workspaces: workspaces),
            agents: AgentService(store: store),
            sessions: SessionService(store: store, jobs: jobs),
            events: broker,
            status: StatusService(store: store, providers: providers)
        )
    }

    static func makeProviders(_ options: ServerOptions) -> SandboxProviders {
        let local: [any SandboxProvider] = options.isLocalProviderEnabled ? [LocalSandboxProvider(options.local)] : []
        return SandboxProviders([DockerSandboxProvider(host: options.dockerHost)] + local)
    }

    private static func makeDispatcher(_ options: ServerOptions, store: Store, logger: Logger) -> any Service {
        let handlers: [any JobHandler] = [
            InitializeWorkspaceJob(store: store, directories: directories(options)),
            RemoveWorkspaceFilesJob(directories: directories(options)),
            RemoveProjectFilesJob(directories: directories(options)),
            DeleteSessionJob(),
        ]
        return JobDispatcher(store: store, settings: options.dispatcher, handlers: handlers, logger: logger)
    }

    private static func directories(_ options: ServerOptions) -> WorkspaceDirectories {
        WorkspaceDirectories(base: options.workspaceDirectory)
    }
}
