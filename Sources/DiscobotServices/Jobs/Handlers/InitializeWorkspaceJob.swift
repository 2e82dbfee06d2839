// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
package import DiscobotModel
package import DiscobotStore

/// Makes a workspace's working copy usable: clones a remote repository, checks or creates a local one.
package struct InitializeWorkspaceJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let workspaceId: ID<Workspace>
    }

    package static let kind: Job.Kind = "workspace_init"
    package static let policy = JobPolicy(concurrency: 4)

    private let store: Store
    private let directories: WorkspaceDirectories

    package init(store: Store, directories: WorkspaceDirectories) {
        self.store = store
        self.directories = directories
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        guard let workspace = try await workspace(payload) else { return { _ in } }
        let commit = try await translatingGitErrors {
            let repository =
                switch workspace.sourceType {
                case .local: try await prepareLocal(workspace.path)
                case .git: try await clone(workspace)
                }
            return try await repository.headCommit()
        }
        return { transaction in
            try Self.change(payload, .finish, in: transaction) {
                $0.commit = commit
                $0.errorMessage = nil
            }
        }
    }

    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {
        try Self.change(payload, .fail, in: transaction) { $0.errorMessage = reason }
    }

    private func workspace(_ payload: Payload) async throws -> Workspace? {
        try await store.read { try $0.workspace(payload.workspaceId, of: payload.projectId) }
    }

    /// What git finds wrong with a directory of this machine stays so until somebody mends it.
    private func prepareLocal(_ path: String) async throws -> GitRepository {
        do {
            return try await GitRepository.prepareLocal(path)
        } catch let error as GitError where error.code == .failed {
            throw GitError(.conflict, error.message)
        }
    }

    private func clone(_ workspace: Workspace) async throws -> GitRepository {
        let directory = directories.workingCopy(of: workspace)
        try await removeCloneOfAnotherSource(workspace, directory)
        try await report(workspace, progress: nil)
        return try await withCloneProgress(workspace) { progress in
            try await GitRepository.clone(workspace.path, into: directory, progress: progress)
        }
    }

    /// After a change of path the clone of the old one is in the way.
    private func removeCloneOfAnotherSource(_ workspace: Workspace, _ directory: String) async throws {
        guard directories.exists(directory) else { return }
        if let clone = try? await GitRepository.open(directory), try await clone.originURL() == workspace.path {
            return
        }
        try await directories.removeClone(of: workspace.id, in: workspace.projectID)
    }

    /// Runs `body` and stores the progress it reports: the newest only, so that a slow database does not hold it up.
    private func withCloneProgress<Value: Sendable>(
        _ workspace: Workspace,
        _ body: @escaping @Sendable (@escaping @Sendable (GitCloneProgress) -> Void) async throws -> Value
    ) async throws -> Value {
        let (reports, continuation) = AsyncStream.makeStream(
            of: GitCloneProgress.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var filter = ProgressFilter()
                for await progress in reports where filter.isWorthTelling(progress) {
                    try await report(workspace, progress: progress)
                }
            }
            defer { continuation.finish() }
            return try await body { continuation.yield($0) }
        }
    }

    private func report(_ workspace: Workspace, progress: GitCloneProgress?) async throws {
        let payload = Payload(projectId: workspace.projectID, workspaceId: workspace.id)
        let progress = progress.map { WorkspaceProgress(phase: $0.phase, percent: $0.percent) }
        try await store.write {
            try Self.change(payload, .startCloning, of: workspace.path, progress: progress, in: $0) { _ in }
        }
    }

    /// - Parameter path: what the change is about; a workspace that has got another path meanwhile is left alone.
    private static func change(
        _ payload: Payload,
        _ transition: WorkspaceStatus.Transition,
        of path: String? = nil,
        progress: WorkspaceProgress? = nil,
        in transaction: Transaction,
        _ edit: (inout Workspace) -> Void
    ) throws {
        guard
            var workspace = try transaction.workspace(payload.workspaceId, of: payload.projectId),
            path == nil || workspace.path == path,
            let status = workspace.status.after(transition)
        else { return }
        let isUnchanged = workspace.status == status
        workspace.status = status
        workspace.updatedAt = .now
        edit(&workspace)
        if !isUnchanged || progress == nil { try transaction.update(workspace) }
        try transaction.append(.workspaceUpdated(workspace.id, status, progress: progress), to: workspace.projectID)
    }
}

/// Lets through what moves a progress bar: a new phase, or five percent more.
struct ProgressFilter {
    private var last: GitCloneProgress?

    mutating func isWorthTelling(_ progress: GitCloneProgress) -> Bool {
        if let last, last.phase == progress.phase, progress.percent < last.percent + 5, progress.percent < 100 {
            return false
        }
        defer { last = progress }
        return last != progress
    }
}

extension JobQueue {
    /// Prepares a workspace; false when that is under way.
    @discardableResult
    func enqueue(
        _ handler: InitializeWorkspaceJob.Type,
        _ workspace: Workspace,
        in transaction: Transaction
    ) throws -> Bool {
        let payload = InitializeWorkspaceJob.Payload(projectId: workspace.projectID, workspaceId: workspace.id)
        return try enqueue(
            handler,
            payload,
            project: workspace.projectID,
            resource: .workspace(workspace.id),
            in: transaction
        )
    }
}
