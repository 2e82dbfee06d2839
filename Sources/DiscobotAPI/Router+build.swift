// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
package import DiscobotServices
import FoundationEssentials
import HTTPTypes
package import Hummingbird

/// What the routes need.
package struct APIServices: Sendable {
    package let preferences: PreferenceService
    package let projects: ProjectService
    package let workspaces: WorkspaceService
    package let sources: WorkspaceSources
    package let suggestions: SuggestionService
    package let git: GitService
    package let agents: AgentService
    package let sessions: SessionService
    package let sessionFiles: SessionFiles
    package let commits: CommitService
    package let terminals: TerminalService
    package let sessionPrograms: SessionPrograms
    package let chat: ChatService
    package let previews: PreviewService
    package let events: EventBroker
    package let sandboxes: SandboxService
    package let status: StatusService
    /// Where services have addresses without names of their own; nil for nowhere.
    package let previewPort: Int?

    package init(
        preferences: PreferenceService,
        projects: ProjectService,
        workspaces: WorkspaceService,
        sources: WorkspaceSources,
        suggestions: SuggestionService,
        git: GitService,
        agents: AgentService,
        sessions: SessionService,
        sessionFiles: SessionFiles,
        commits: CommitService,
        terminals: TerminalService,
        sessionPrograms: SessionPrograms,
        chat: ChatService,
        previews: PreviewService,
        events: EventBroker,
        sandboxes: SandboxService,
        status: StatusService,
        previewPort: Int?
    ) {
        self.preferences = preferences
        self.projects = projects
        self.workspaces = workspaces
        self.sources = sources
        self.suggestions = suggestions
        self.git = git
        self.agents = agents
        self.sessions = sessions
        self.sessionFiles = sessionFiles
        self.commits = commits
        self.terminals = terminals
        self.sessionPrograms = sessionPrograms
        self.chat = chat
        self.previews = previews
        self.events = events
        self.sandboxes = sandboxes
        self.status = status
        self.previewPort = previewPort
    }

    /// The route table: every call there is.
    var routes: [EndpointGroup] {
        [
            InfrastructureRoutes(status: status, routes: { self.routes }).group,
            AuthRoutes().group,
            PreferenceRoutes(preferences: preferences).group,
            ProjectRoutes(projects: projects).group,
            CacheRoutes(sandboxes: sandboxes).group,
            WorkspaceRoutes(workspaces: workspaces, sessions: sessions).group,
            WorkspaceSourceRoutes(sources: sources, suggestions: suggestions, status: status).group,
            GitRoutes(git: git).group,
            AgentRoutes(agents: agents).group,
            SessionRoutes(sessions: sessions).group,
            SessionFileRoutes(files: sessionFiles).group,
            SessionChangeRoutes(files: sessionFiles, commits: commits).group,
            TerminalRoutes(terminals: terminals).group,
            SessionProgramRoutes(programs: sessionPrograms, links: PreviewLinks(previews: previews, port: previewPort))
                .group,
            ChatRoutes(chat: chat).group,
            EventRoutes(events: events).group,
        ]
    }
}

extension Router<AppRequestContext> {
    /// The server's router: the route table behind what every request goes through.
    ///
    /// - Parameters:
    ///   - logsOrigins: whether to log what becomes of each request with an origin.
    ///   - address: where the server listens, as in HOST.
    ///   - proxies: which peers may say where a request comes from.
    package convenience init(
        services: APIServices,
        origins: AllowedOrigins,
        logsOrigins: Bool,
        address: String,
        proxies: TrustedProxies
    ) {
        self.init(context: AppRequestContext.self, options: .autoGenerateHeadEndpoints)
        let endpoints = services.routes.flatMap(\.endpoints)
        addMiddleware {
            AccessLogMiddleware()
            ForwardedMiddleware(proxies: proxies)
            HostMiddleware(origins: origins, address: address)
            ErrorMiddleware { _ in [] }
            PreviewHostMiddleware(preview: Preview(previews: services.previews), origins: origins)
            CORSMiddleware(origins: origins, logsOrigins: logsOrigins)
            ErrorMiddleware { endpoints.methods(of: $0) }
        }
        for endpoint in endpoints { add(endpoint, services.projects) }
    }

    private func add(_ endpoint: Endpoint, _ projects: ProjectService) {
        on(RouterPath(endpoint.pattern), method: endpoint.method) { request, context in
            // Authentication is off: every request is the anonymous user's.
            let request = APIRequest(
                user: .anonymous,
                raw: request,
                parameters: context.parameters,
                channel: context.channel
            )
            switch endpoint.access {
            case .open(let handler), .user(let handler):
                return try await handler(request)
            case .project(let needed, let handler):
                let project: ID<Project> = try request.id("projectId")
                let role = try await projects.role(of: request.user.id, in: project)
                guard role >= needed else {
                    throw ServerError.forbidden("\(needed.rawValue.capitalized) access required")
                }
                return try await handler(request, project)
            }
        }
    }
}
