// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// The sessions of a project.
struct SessionRoutes: Sendable {
    let sessions: SessionService

    var group: EndpointGroup {
        let id = [EndpointParameter.path("sessionId")]
        let example: JSONValue = ["displayName": "Fix the login"]
        return EndpointGroup(
            name: "Sessions",
            endpoints: [
                .project(
                    .get,
                    "/sessions",
                    "The sessions of a project, newest first",
                    EndpointParameter.page,
                    use: list
                ),
                .project(
                    .post,
                    "/sessions",
                    "Make a session and its sandbox",
                    body: ["workspaceId": "", "agentId": nil, "id": nil, "name": nil],
                    use: create
                ),
                .project(.get, "/sessions/{sessionId}", "One session", id, use: get),
                .project(.put, "/sessions/{sessionId}", "Change a session", id, body: example, use: update),
                .project(.patch, "/sessions/{sessionId}", "Change a session", id, body: example, use: update),
                .project(.delete, "/sessions/{sessionId}", "Remove a session", id, use: delete),
            ]
        )
    }

    private func list(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(SessionListResponse(await sessions.list(of: project, page: request.page())))
    }

    private struct CreateRequest: Decodable {
        let id: String?
        let workspaceId: ID<Workspace>?
        let agentId: ID<Agent>?
        let name: String?
    }

    private func create(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(CreateRequest.self)
        guard let workspace = body.workspaceId, !workspace.rawValue.isEmpty else {
            throw ServerError.invalidArgument("workspaceId is required")
        }
        let session = try await sessions.create(
            body.id.map { ID(rawValue: $0) } ?? .random(),
            named: try bounded(body.name.map { try required($0, "name must not be empty") }, "name") ?? "New Session",
            workspace: workspace,
            agent: body.agentId.flatMap { $0.rawValue.isEmpty ? nil : $0 },
            in: project
        )
        return try .json(SessionResponse(session), status: .created)
    }

    private func get(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(SessionResponse(await sessions.get(request.id("sessionId"), of: project)))
    }

    private struct UpdateRequest: Decodable {
        let name: String?
        let displayName: Patch<String>
        let status: String?
    }

    private func update(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let body = try await request.body(UpdateRequest.self)
        let changes = SessionService.Changes(
            name: try bounded(body.name.map { try required($0, "name must not be empty") }, "name"),
            displayName: try body.displayName.nonEmptyChange.map { try bounded($0, "displayName") },
            status: try body.status.map(Self.status(named:))
        )
        return try .json(SessionResponse(await sessions.update(request.id("sessionId"), of: project, changes)))
    }

    private static func status(named name: String) throws -> SessionStatus {
        // Removal is asked for by DELETE and carried out by a job.
        let allowed = SessionStatus.allCases.filter { $0 != .removing && $0 != .removed }
        guard let status = allowed.first(where: { $0.rawValue == name }) else {
            throw ServerError.invalidArgument(
                "status must be one of: \(allowed.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return status
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await sessions.delete(request.id("sessionId"), of: project)
        return try .success()
    }
}

/// A session as clients see it.
struct SessionResponse: Encodable {
    /// Kept for older clients; always empty.
    private struct File: Encodable {}

    private let id: ID<Session>
    private let projectId: ID<Project>
    private let name: String
    private let displayName: String?
    private let description: String
    private let timestamp: Timestamp
    private let createdAt: Timestamp
    private let status: String
    private let commitStatus: String?
    private let commitError: String?
    private let baseCommit: String?
    private let appliedCommit: String?
    private let errorMessage: String?
    private let files: [File] = []
    private let workspaceId: ID<Workspace>
    private let agentId: ID<Agent>?
    private let workspacePath: String?
    private let workspaceCommit: String?
    private let sandboxProvider: String?
    private let stages: [SessionStage]

    init(_ session: Session) {
        id = session.id
        projectId = session.projectID
        name = session.name
        displayName = session.displayName
        description = session.description ?? ""
        timestamp = session.updatedAt
        createdAt = session.createdAt
        status = session.status.rawValue
        commitStatus = session.commitStatus == .none ? nil : session.commitStatus.rawValue
        commitError = session.commitError
        baseCommit = session.baseCommit
        appliedCommit = session.appliedCommit
        errorMessage = session.errorMessage
        workspaceId = session.workspaceID
        agentId = session.agentID
        workspacePath = session.workspacePath
        workspaceCommit = session.workspaceCommit
        sandboxProvider = session.sandboxProvider
        stages = session.stages
    }
}

/// A page of sessions.
struct SessionListResponse: Encodable {
    private let sessions: [SessionResponse]
    private let nextCursor: String?

    init(_ page: Page<Session>) {
        sessions = page.elements.map(SessionResponse.init)
        nextCursor = page.next?.text
    }
}
