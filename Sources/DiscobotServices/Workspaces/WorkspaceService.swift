// SPDX-License-Identifier: Apache-2.0

package import DiscobotGit
package import DiscobotModel
package import DiscobotStore
import ServiceLifecycle

/// Workspaces: rows here, working copies by the jobs.
package struct WorkspaceService: Sendable {
    private let store: Store
    private let jobs: JobQueue
    private let events: EventBroker
    private let directories: WorkspaceDirectories
    private let sources: WorkspaceSources

    package init(
        store: Store,
        jobs: JobQueue,
        events: EventBroker,
        directories: WorkspaceDirectories,
        sources: WorkspaceSources
    ) {
        self.store = store
        self.jobs = jobs
        self.events = events
        self.directories = directories
        self.sources = sources
    }

    package func list(of project: ID<Project>) async throws -> [Workspace] {
        try await store.read { try $0.workspaces(of: project) }
    }

    /// Throws `notFound`.
    package func get(_ id: ID<Workspace>, of project: ID<Project>) async throws -> Workspace {
        guard let workspace = try await store.read({ try $0.workspace(id, of: project) }) else { throw Self.notFound }
        return workspace
    }

    /// The directory of the working copy; nil until there is one.
    package func workingDirectory(of workspace: Workspace) -> String? {
        workspace.status == .ready ? directories.workingCopy(of: workspace) : nil
    }

    /// Stores a workspace and starts to prepare it; throws `invalidArgument`.
    package func create(
        path: String,
        displayName: String?,
        sourceType: Workspace.SourceType?,
        provider: String,
        network: Workspace.Network,
        limits: Workspace.Limits = .init(),
        in project: ID<Project>
    ) async throws -> Workspace {
        let source = try sources.check(path: path, sourceType: sourceType)
        try sources.check(provider: provider)
        let now = Timestamp.now
        let workspace = Workspace(
            id: .random(),
            projectID: project,
            path: source.path,
            displayName: displayName,
            sourceType: source.type,
            provider: provider,
            network: network,
            limits: limits,
            status: .initializing,
            errorMessage: nil,
            commit: nil,
            createdAt: now,
            updatedAt: now
        )
        try await store.write { transaction in
            try transaction.insert(workspace)
            try announce(workspace, in: transaction)
        }
        return workspace
    }

    /// What an update changes; nil leaves a field as it is.
    package struct Changes: Sendable {
        package var path: String?
        /// The inner nil clears the name.
        package var displayName: String??
        /// For sandboxes that are made from now on.
        package var network: Workspace.Network?
        /// As a whole; for sandboxes that are made from now on.
        package var limits: Workspace.Limits?

        package init(
            path: String? = nil,
            displayName: String?? = nil,
            network: Workspace.Network? = nil,
            limits: Workspace.Limits? = nil
        ) {
            self.limits = limits
            self.path = path
            self.displayName = displayName
            self.network = network
        }
    }

    /// Changes a workspace; one that gets a path, or has failed and gets it again, is prepared anew.
    ///
    /// Throws `conflict` for another path where sessions work on the present one: their commits are about that.
    package func update(
        _ id: ID<Workspace>,
        of project: ID<Project>,
        _ changes: Changes
    ) async throws -> Workspace {
        let source = try changes.path.map { try sources.check(path: $0, sourceType: nil) }
        return try await store.write { transaction in
            guard var workspace = try transaction.workspace(id, of: project) else { throw Self.notFound }
            if let displayName = changes.displayName { workspace.displayName = displayName }
            workspace.network = changes.network ?? workspace.network
            workspace.limits = changes.limits ?? workspace.limits
            workspace.updatedAt = .now
            guard let source, source.path != workspace.path || workspace.status == .error else {
                try transaction.update(workspace)
                try transaction.append(.workspaceUpdated(id, workspace.status), to: project)
                return workspace
            }
            guard try source.path == workspace.path || !transaction.hasSandboxes(id) else {
                throw ServerError.conflict(
                    "path: sessions of this workspace work on \(workspace.path); remove them first"
                )
            }
            workspace.path = source.path
            workspace.sourceType = source.type
            return try restart(workspace, in: transaction)
        }
    }

    /// Removes a workspace with its sessions; `deleteFiles` removes its clone too, never a directory of the user's own.
    package func delete(_ id: ID<Workspace>, of project: ID<Project>, deleteFiles: Bool) async throws {
        try await store.write { transaction in
            guard let workspace = try transaction.workspace(id, of: project) else { throw Self.notFound }
            let sessions = try transaction.sessions(of: id)
            try transaction.delete(workspace)
            for session in sessions {
                try transaction.append(.sessionUpdated(session.id, .removed), to: project)
                try jobs.enqueue(DeleteSessionJob.self, session, in: transaction)
            }
            // Also when it has become a local one since it was cloned.
            if deleteFiles, directories.hasClone(of: workspace) {
                try jobs.enqueue(RemoveWorkspaceFilesJob.self, workspace, in: transaction)
            }
        }
    }

    private func restart(_ workspace: Workspace, in transaction: Transaction) throws -> Workspace {
        var workspace = workspace
        workspace.status = workspace.status.after(.restart) ?? workspace.status
        workspace.errorMessage = nil
        workspace.commit = nil
        try transaction.cancelJobs(on: .workspace(workspace.id))
        try transaction.update(workspace)
        try announce(workspace, in: transaction)
        return workspace
    }

    private func announce(_ workspace: Workspace, in transaction: Transaction) throws {
        try jobs.enqueue(InitializeWorkspaceJob.self, workspace, in: transaction)
        try transaction.append(.workspaceUpdated(workspace.id, workspace.status), to: workspace.projectID)
    }

    private static let notFound = ServerError.notFound("Workspace not found")
}

// MARK: - The working copy

extension WorkspaceService {
    /// The repository of a workspace, waited for while it is being prepared and prepared again where it has vanished.
    ///
    /// Throws `operationFailed` when preparing has failed, and `unavailable` when it takes longer than `patience`.
    package func repository(
        of id: ID<Workspace>,
        in project: ID<Project>,
        patience: Duration = .seconds(30)
    ) async throws -> GitRepository {
        var workspace = try await get(id, of: project)
        if !isUsable(workspace) {
            workspace = try await prepared(workspace, patience: patience)
        }
        let directory = directories.workingCopy(of: workspace)
        return try await translatingGitErrors("open workspace") { try await GitRepository.open(directory) }
    }

    private func isUsable(_ workspace: Workspace) -> Bool {
        workspace.status == .ready && directories.exists(directories.workingCopy(of: workspace))
    }

    private func prepared(_ workspace: Workspace, patience: Duration) async throws -> Workspace {
        let subscription = try await events.subscribe(to: workspace.projectID, from: .now)
        defer { events.unsubscribe(subscription) }
        if workspace.status == .ready { try await restartVanished(workspace) }
        // A stopping server does not wait for what only the next one will finish.
        return try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Workspace.self) { group in
                group.addTask { try await outcome(of: workspace, subscription) }
                group.addTask {
                    try await Task.sleep(upTo: patience)
                    throw Self.unfinished
                }
                defer { group.cancelAll() }
                guard let outcome = try await group.next() else { throw Self.unfinished }
                return outcome
            }
        } onGracefulShutdown: {
            subscription.finish()
        }
    }

    /// Clones again what is gone from the disk, unless another request has just begun to.
    ///
    /// Never a local directory: it may be on a drive that is not mounted, and an empty one would look like lost work.
    private func restartVanished(_ workspace: Workspace) async throws {
        guard workspace.sourceType == .git else {
            throw ServerError(
                .operationFailed,
                "Failed to initialize workspace: the directory \(workspace.path) is gone; "
                    + "bring it back, or set the workspace's path to make a new one"
            )
        }
        try await store.write { transaction in
            let current = try transaction.workspace(workspace.id, of: workspace.projectID)
            guard let current, current.status == .ready, current.path == workspace.path else { return }
            _ = try restart(current, in: transaction)
        }
    }

    private func outcome(of workspace: Workspace, _ subscription: EventSubscription) async throws -> Workspace {
        for await _ in subscription {
            let current = try await get(workspace.id, of: workspace.projectID)
            switch current.status {
            case .ready: return current
            case .error:
                throw ServerError(
                    .operationFailed,
                    "Failed to initialize workspace: \(current.errorMessage ?? "unknown reason")"
                )
            case .initializing, .cloning: _ = try await events.next(subscription)
            }
        }
        throw Self.unfinished
    }

    private static let unfinished = ServerError(.unavailable, "the workspace is still being prepared; try again later")
}
