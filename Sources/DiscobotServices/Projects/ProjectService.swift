// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore
import FoundationEssentials

/// Projects and who may enter them.
package struct ProjectService: Sendable {
    private let store: Store
    private let jobs: JobQueue

    package init(store: Store, jobs: JobQueue) {
        self.store = store
        self.jobs = jobs
    }

    /// Stores the anonymous user and the local project unless they are there.
    package func seed() async throws {
        try await store.write { transaction in
            let now = Timestamp.now
            try transaction.seed(.anonymous, providerID: "anonymous")
            let local = Project(
                id: Project.localID,
                name: "Local Project",
                slug: "local",
                createdAt: now,
                updatedAt: now
            )
            try transaction.insert(local, owner: User.anonymous.id)
        }
    }

    /// The projects that a user is member of, oldest first.
    package func list(of user: ID<User>) async throws -> [Project] {
        try await store.read { try $0.projects(of: user) }
    }

    /// Throws `invalidArgument`.
    package func create(name: String, owner: ID<User>) async throws -> Project {
        try Self.check(name)
        let now = Timestamp.now
        let suffix = String(UUID().uuidString.lowercased().prefix(8))
        let project = Project(
            id: .random(),
            name: name,
            slug: Project.slug(name: name, suffix: suffix),
            createdAt: now,
            updatedAt: now
        )
        guard try await store.write({ try $0.insert(project, owner: owner) }) else {
            throw ServerError.conflict("a project with this slug exists; try again")
        }
        return project
    }

    /// The user's role; throws `forbidden` for anybody else and, so that nobody can probe, for unknown projects.
    package func role(of user: ID<User>, in project: ID<Project>) async throws -> ProjectRole {
        guard let role = try await store.read({ try $0.role(of: user, in: project) }) else {
            throw ServerError.forbidden("Access denied")
        }
        return role
    }

    /// Throws `notFound`.
    package func get(_ id: ID<Project>) async throws -> Project {
        guard let project = try await store.read({ try $0.project(id) }) else { throw Self.notFound }
        return project
    }

    /// Throws `invalidArgument` or `notFound`.
    package func rename(_ id: ID<Project>, to name: String) async throws -> Project {
        try Self.check(name)
        let project = try await store.write { transaction in
            try transaction.rename(id, to: name, at: .now)
            return try transaction.project(id)
        }
        guard let project else { throw Self.notFound }
        return project
    }

    /// Removes the project and everything in it; the files of its clones follow in the background.
    ///
    /// Throws `conflict` for the local project, without which nobody could do anything until the next start.
    package func delete(_ id: ID<Project>) async throws {
        guard id != Project.localID else { throw ServerError.conflict("the local project cannot be removed") }
        try await store.write { transaction in
            let sessions = try transaction.allSessions(of: id)
            try transaction.delete(id)
            for session in sessions { try jobs.enqueue(DeleteSessionJob.self, session, in: transaction) }
            try jobs.enqueue(
                RemoveProjectFilesJob.self,
                .init(projectId: id),
                project: id,
                resource: .project(id),
                in: transaction
            )
        }
    }

    package func members(of id: ID<Project>) async throws -> [ProjectMember] {
        try await store.read { try $0.members(of: id) }
    }

    private static func check(_ name: String) throws {
        guard !name.allSatisfy(\.isWhitespace) else { throw ServerError.invalidArgument("Name is required") }
        guard name.utf8.count <= 255 else { throw ServerError.invalidArgument("name is longer than 255 bytes") }
    }

    private static let notFound = ServerError.notFound("Project not found")
}
