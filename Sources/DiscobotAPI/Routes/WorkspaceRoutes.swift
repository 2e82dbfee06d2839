// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// Workspaces: the repositories of a project.
struct WorkspaceRoutes: Sendable {
    let workspaces: WorkspaceService
    let sessions: SessionService

    var group: EndpointGroup {
        let id = [EndpointParameter.path("workspaceId")]
        return EndpointGroup(
            name: "Workspaces",
            endpoints: [
                .project(.get, "/workspaces", "The workspaces of a project", use: list),
                .project(
                    .post,
                    "/workspaces",
                    "Make a workspace of a local repository or a git URL",
                    body: ["path": "~/my-repository", "sourceType": "local", "displayName": nil],
                    use: create
                ),
                .project(.get, "/workspaces/{workspaceId}", "One workspace with its sessions", id, use: get),
                .project(
                    .put,
                    "/workspaces/{workspaceId}",
                    "Change the path, the display name, the network or the limits",
                    id,
                    body: ["displayName": "My repository"],
                    use: update
                ),
                .project(
                    .delete,
                    "/workspaces/{workspaceId}",
                    "Remove a workspace with its sessions",
                    id + [.query("deleteFiles", example: "false")],
                    use: delete
                ),
                .project(
                    .get,
                    "/workspaces/{workspaceId}/sessions",
                    "The sessions of a workspace",
                    id + [.query("includeClosed", example: "true")] + EndpointParameter.page,
                    use: listSessions
                ),
            ]
        )
    }

    private struct WorkspaceResponse: Encodable {
        let id: ID<Workspace>
        let path: String
        let displayName: String?
        let sourceType: String
        let provider: String
        let network: String
        let limits: Workspace.Limits
        let status: String
        let errorMessage: String?
        let commit: String?
        let workDir: String?
        let sessions: [SessionResponse]
    }

    private func response(_ workspace: Workspace, sessions: [Session] = []) -> WorkspaceResponse {
        WorkspaceResponse(
            id: workspace.id,
            path: workspace.path,
            displayName: workspace.displayName,
            sourceType: workspace.sourceType.rawValue,
            provider: workspace.provider,
            network: workspace.network.rawValue,
            limits: workspace.limits,
            status: workspace.status.rawValue,
            errorMessage: workspace.errorMessage,
            commit: workspace.commit,
            workDir: workspaces.workingDirectory(of: workspace),
            sessions: sessions.map(SessionResponse.init)
        )
    }

    private struct ListResponse: Encodable {
        let workspaces: [WorkspaceResponse]
    }

    private func list(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(ListResponse(workspaces: await workspaces.list(of: project).map { response($0) }))
    }

    private struct CreateRequest: Decodable {
        let path: String?
        let displayName: String?
        let sourceType: String?
        let provider: String?
        let network: String?
        let limits: LimitsRequest?
    }

    private func create(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(CreateRequest.self)
        let workspace = try await workspaces.create(
            path: try required(body.path, "Path is required"),
            displayName: body.displayName.flatMap { $0.isEmpty ? nil : $0 },
            sourceType: try body.sourceType.map(Workspace.SourceType.init(checking:)),
            provider: body.provider ?? "",
            network: try body.network.map(Workspace.Network.init(checking:)) ?? .internet,
            limits: body.limits?.limits ?? Workspace.Limits(),
            in: project
        )
        return try .json(response(workspace), status: .created)
    }

    private func get(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let workspace = try await workspaces.get(request.id("workspaceId"), of: project)
        let page = try await sessions.list(of: workspace.id, in: project, includingClosed: true, page: PageRequest())
        return try .json(response(workspace, sessions: page.elements))
    }

    private struct UpdateRequest: Decodable {
        let path: String?
        let displayName: Patch<String>
        let network: String?
        /// Null takes all of them back.
        let limits: Patch<LimitsRequest>
    }

    private func update(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(UpdateRequest.self)
        let changes = WorkspaceService.Changes(
            path: body.path,
            displayName: body.displayName.nonEmptyChange,
            network: try body.network.map(Workspace.Network.init(checking:)),
            limits: body.limits.change.map { $0?.limits ?? Workspace.Limits() }
        )
        return try .json(response(await workspaces.update(request.id("workspaceId"), of: project, changes)))
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await workspaces.delete(
            request.id("workspaceId"),
            of: project,
            deleteFiles: try request.flag("deleteFiles")
        )
        return try .success()
    }

    private func listSessions(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let page = try await sessions.list(
            of: request.id("workspaceId"),
            in: project,
            includingClosed: try request.flag("includeClosed"),
            page: try request.page()
        )
        return try .json(SessionListResponse(page))
    }
}

extension Workspace.SourceType {
    /// Throws `invalidArgument` for anything but the known names.
    init(checking name: String) throws {
        guard let type = Self(rawValue: name) else {
            throw ServerError.invalidArgument("sourceType must be local or git")
        }
        self = type
    }
}

extension Workspace.Network {
    /// Throws `invalidArgument` for anything but the known names.
    init(checking name: String) throws {
        guard let network = Self(rawValue: name) else {
            throw ServerError.invalidArgument("network must be none, internet or host")
        }
        self = network
    }
}
