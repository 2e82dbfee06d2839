// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
package import DiscobotModel
package import DiscobotStore

/// Sessions: rows here, sandboxes by the jobs.
package struct SessionService: Sendable {
    private let store: Store
    private let jobs: JobQueue

    package init(store: Store, jobs: JobQueue) {
        self.store = store
        self.jobs = jobs
    }

    /// The sessions of a project, newest first.
    package func list(of project: ID<Project>, page: PageRequest) async throws -> Page<Session> {
        try await store.read { try $0.sessions(in: .project(project), page: page) }
    }

    /// The sessions of a workspace, newest first; throws `notFound` when the workspace is not the project's.
    package func list(
        of workspace: ID<Workspace>,
        in project: ID<Project>,
        includingClosed: Bool,
        page: PageRequest
    ) async throws -> Page<Session> {
        try await store.read { transaction in
            guard try transaction.workspace(workspace, of: project) != nil else {
                throw ServerError.notFound("Workspace not found")
            }
            return try transaction.sessions(
                in: .workspace(workspace, includingClosed: includingClosed),
                page: page
            )
        }
    }

    /// Throws `notFound`.
    package func get(_ id: ID<Session>, of project: ID<Project>) async throws -> Session {
        guard let session = try await store.read({ try $0.session(id, of: project) }) else { throw Self.notFound }
        return session
    }

    /// Makes a session and starts to prepare it; asked again for the same id, it returns what there is.
    ///
    /// Throws `invalidArgument`, or `conflict` when the id is taken by a session of another workspace or project.
    package func create(
        _ id: ID<Session>,
        named name: String,
        workspace: ID<Workspace>,
        agent: ID<Agent>?,
        in project: ID<Project>
    ) async throws -> Session {
        try await store.write { transaction in
            if let session = try transaction.session(id) {
                guard session.projectID == project, session.workspaceID == workspace, session.status != .removing else {
                    throw ServerError.conflict("id: another session has this id, or is being removed with it")
                }
                return session
            }
            return try transaction.createSession(
                id,
                named: name,
                workspace: workspace,
                agent: agent,
                in: project,
                jobs: jobs
            )
        }
    }

    /// What an update changes; nil leaves a field as it is.
    package struct Changes: Sendable {
        package var name: String?
        /// The inner nil clears the name.
        package var displayName: String??
        package var status: SessionStatus?

        package init(name: String? = nil, displayName: String?? = nil, status: SessionStatus? = nil) {
            self.name = name
            self.displayName = displayName
            self.status = status
        }
    }

    /// Throws `notFound`, or `conflict` for a status that cannot follow the present one.
    package func update(
        _ id: ID<Session>,
        of project: ID<Project>,
        _ changes: Changes
    ) async throws -> Session {
        try await store.write { transaction in
            guard var session = try transaction.session(id, of: project) else { throw Self.notFound }
            session.name = changes.name ?? session.name
            if let displayName = changes.displayName { session.displayName = displayName }
            if let status = changes.status, status != session.status {
                try change(&session, to: status, in: transaction)
            }
            session.updatedAt = .now
            try transaction.update(session)
            try transaction.append(.sessionUpdated(session), to: project)
            return session
        }
    }

    /// What a user may do by a status: stop the sandbox, or have it prepared again. The others follow from the work.
    private func change(
        _ session: inout Session,
        to status: SessionStatus,
        in transaction: Transaction
    ) throws {
        guard [.stopped, .reinitializing].contains(status), session.status.canBecome(status) else {
            throw ServerError.conflict(
                "status: a session that is \(session.status.rawValue) cannot be made \(status.rawValue)"
            )
        }
        guard try transaction.openTurns(of: session.id).isEmpty else {
            throw ServerError.conflict("status: the session has turns that wait or run; cancel them first")
        }
        session.become(status)
        if status == .stopped {
            try transaction.cancelJobs(on: .session(session.id))
            try jobs.enqueue(StopSessionJob.self, session, in: transaction)
        } else {
            try jobs.enqueue(InitializeSessionJob.self, session, in: transaction)
        }
    }

    /// Marks the session for removal, which follows in the background; throws `notFound`.
    package func delete(_ id: ID<Session>, of project: ID<Project>) async throws {
        try await store.write { transaction in
            guard var session = try transaction.session(id, of: project) else { throw Self.notFound }
            if session.status != .removing {
                session.become(.removing)
                try transaction.update(session)
                try transaction.cancelJobs(on: .session(id))
                try transaction.cancelJobs(on: .conversation(id))
                try transaction.cancelJobs(on: .commit(id))
                for turn in try transaction.openTurns(of: id) {
                    try transaction.finish(
                        try transaction.answer(of: turn),
                        of: id,
                        in: project,
                        otherwise: .aborted(reason: "the session was removed")
                    )
                }
                try transaction.append(.sessionUpdated(id, .removing), to: project)
            }
            guard try !transaction.hasActiveJob(DeleteSessionJob.kind, on: .session(id)) else { return }
            try jobs.enqueue(DeleteSessionJob.self, session, in: transaction)
        }
    }

    private static let notFound = ServerError.notFound("Session not found")
}
