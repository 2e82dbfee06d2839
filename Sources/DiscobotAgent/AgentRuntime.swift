// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import Glibc
import Hummingbird
package import Logging
import NIOCore
import NIOPosix
package import ServiceLifecycle

/// The runtime inside a sandbox, put together.
package struct AgentRuntime: Sendable {
    /// In the order in which they start; they stop in the opposite one.
    package let services: [any Service]

    /// Opens the journal. Throws when the data volume cannot be used, or another runtime uses it.
    package init(_ options: AgentOptions, logger: Logger) async throws {
        let directories = DataDirectories(root: options.dataDirectory, cache: options.cacheDirectory)
        try directories.create()
        // First, as what follows would harm a runtime that runs.
        let lock = try DataLock(directories)
        let strays = StrayProcesses(owner: options.dataDirectory)
        await strays.endPredecessors()
        let journal = try Journal(directory: directories.journal, limits: options.journalLimits)
        let drivers = AgentDrivers(strays: strays)
        drivers.removeLeftovers(directories)
        let git = AgentGit(path: options.environment["PATH"], directories: directories, mark: strays.ownMark)
        let workingCopy = WorkingCopy(options.source, directories: directories, git: git, logger: logger)
        let context = ProgramContext(
            directories: directories,
            workingCopy: workingCopy,
            environment: options.environment,
            sessionID: options.source.sessionID,
            strays: strays,
            logger: logger
        )
        let hooks = HookRunner(context, git: git)
        let userServices = ServiceRegistry(context)
        let conversation = Conversation(
            journal: journal,
            drivers: drivers,
            workingCopy: workingCopy,
            hooks: hooks,
            directories: directories,
            environment: options.environment,
            logger: logger
        )
        // One is enough for the few connections of a sandbox, and each costs memory.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let terminals = Terminals(directories, environment: options.environment, strays: strays, group: group)
        let routes =
            AgentRoutes(workingCopy: workingCopy, drivers: drivers).routes
            + ChatRoutes(conversation: conversation, journal: journal).routes
            + FileRoutes(
                files: WorkingFiles(directories, workingCopy: workingCopy),
                search: FileSearch(directories: directories, workingCopy: workingCopy, git: git)
            ).routes
            + Self.changeRoutes(directories, workingCopy, git, conversation, start: options.source.commit)
            + TerminalRoutes(terminals: terminals).routes
            + ServiceRoutes(services: userServices).routes
            + HookRoutes(hooks: hooks, keepAlive: options.keepAlive).routes
        // The conversation stops before those who serve its end.
        let servers = options.addresses.map {
            AgentServer(address: $0, routes: routes, options: options, group: group, logger: logger)
        }
        services =
            [lock] + servers
            + [
                workingCopy,
                KeepAliveService(journal: journal, userServices: userServices, strays: strays, options.keepAlive),
                terminals, SessionHookService(hooks: hooks, workingCopy: workingCopy),
                ConversationService(conversation: conversation, userServices: userServices),
            ]
    }

    private static func changeRoutes(
        _ directories: DataDirectories,
        _ workingCopy: WorkingCopy,
        _ git: AgentGit,
        _ conversation: Conversation,
        start: String?
    ) -> [AgentRoute] {
        let changes = WorkingChanges(directories: directories, workingCopy: workingCopy, git: git, start: start)
        let commits = WorkingCommits(
            directories: directories,
            workingCopy: workingCopy,
            git: git,
            conversation: conversation
        )
        return ChangeRoutes(changes: changes).routes + CommitRoutes(commits: commits).routes
    }

    fileprivate static func router(_ routes: [AgentRoute], _ options: AgentOptions) -> Router<AppRequestContext> {
        let router = Router(context: AppRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.addMiddleware {
            AccessLogMiddleware()
            ErrorMiddleware { path in routes.filter { $0.path == path }.map(\.method) }
            AuthenticationMiddleware(
                verifier: options.secret,
                openPaths: Set(routes.filter(\.isOpen).map(\.path))
            )
        }
        for route in routes {
            router.on(RouterPath(route.path), method: route.method) { try await route.handler($0, $1) }
        }
        return router
    }
}

extension AgentOptions {
    fileprivate var addresses: [BindAddress] {
        [socket.map { .unixDomainSocket(path: $0) }, port.map { .hostname("0.0.0.0", port: $0) }].compactMap { $0 }
    }
}

/// Serves at one address.
private struct AgentServer: Service {
    let address: BindAddress
    let routes: [AgentRoute]
    let options: AgentOptions
    let group: MultiThreadedEventLoopGroup
    let logger: Logger

    func run() async throws {
        try await Application(
            responder: AgentRuntime.router(routes, options).buildResponder(),
            server: .upgradableHTTP1,
            configuration: ApplicationConfiguration(address: address),
            eventLoopGroupProvider: .shared(group),
            logger: logger
        ).run()
    }
}

/// Has streams say that they are alive, and children that have ended make room.
private struct KeepAliveService: Service {
    let journal: Journal
    let userServices: ServiceRegistry
    let strays: StrayProcesses
    let interval: Duration

    init(journal: Journal, userServices: ServiceRegistry, strays: StrayProcesses, _ interval: Duration) {
        self.journal = journal
        self.userServices = userServices
        self.strays = strays
        self.interval = interval
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: interval)) != nil {
                for file in journal.all { file.wakeReaders() }
                await userServices.wakeReaders()
                strays.reapAbandoned()
            }
        }
    }
}

/// Runs the session's hooks once its working copy is there.
private struct SessionHookService: Service {
    let hooks: HookRunner
    let workingCopy: WorkingCopy

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in workingCopy.readiness {}
            if !Task.isCancelled { await hooks.runSessionHooks() }
        }
        try? await gracefulShutdown()
    }
}

/// Ends the running turn and the user's services before the runtime stops.
private struct ConversationService: Service {
    let conversation: Conversation
    let userServices: ServiceRegistry

    func run() async throws {
        try? await gracefulShutdown()
        async let ending: Void = userServices.stopAll()
        await conversation.stop()
        await ending
    }
}
