// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// Projects and their members.
struct ProjectRoutes: Sendable {
    let projects: ProjectService

    var group: EndpointGroup {
        EndpointGroup(
            name: "Projects",
            endpoints: [
                .user(.get, "/api/projects", "The projects of the user", use: list),
                .user(.post, "/api/projects", "Create a project", body: ["name": "My project"], use: create),
                .project(.get, "", "One project", use: get),
                .project(.put, "", "Rename a project", body: ["name": "New name"], role: .admin, use: update),
                .project(.delete, "", "Remove a project and everything in it", role: .owner, use: delete),
                .project(.get, "/members", "Who is member of a project", use: members),
            ]
        )
    }

    private struct ProjectResponse: Encodable {
        let id: ID<Project>
        let name: String
        let slug: String
        let createdAt: Timestamp
        let updatedAt: Timestamp

        init(_ project: Project) {
            id = project.id
            name = project.name
            slug = project.slug
            createdAt = project.createdAt
            updatedAt = project.updatedAt
        }
    }

    private struct MemberResponse: Encodable {
        let id: ID<ProjectMember>
        let projectId: ID<Project>
        let userId: ID<User>
        let role: String
        let email: String
        let name: String?
        let avatarUrl: String?
        let invitedAt: Timestamp?
        let acceptedAt: Timestamp?

        init(_ member: ProjectMember) {
            id = member.id
            projectId = member.projectID
            userId = member.user.id
            role = member.role.rawValue
            email = member.user.email
            name = member.user.name
            avatarUrl = member.user.avatarURL
            invitedAt = member.invitedAt
            acceptedAt = member.acceptedAt
        }
    }

    private struct NameRequest: Decodable {
        let name: String?

        func required() throws -> String {
            try DiscobotAPI.required(name, "Name is required")
        }
    }

    private func list(_ request: APIRequest) async throws -> Response {
        try .json(await projects.list(of: request.user.id).map(ProjectResponse.init))
    }

    private func create(_ request: APIRequest) async throws -> Response {
        let name = try await request.body(NameRequest.self).required()
        return try .json(ProjectResponse(await projects.create(name: name, owner: request.user.id)), status: .created)
    }

    private func get(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(ProjectResponse(await projects.get(project)))
    }

    private func update(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let name = try await request.body(NameRequest.self).required()
        return try .json(ProjectResponse(await projects.rename(project, to: name)))
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await projects.delete(project)
        return try .success()
    }

    private func members(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(await projects.members(of: project).map(MemberResponse.init))
    }
}
