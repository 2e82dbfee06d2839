// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Removes the clone of a workspace whose row is gone, once a cancelled job of the workspace has ended.
///
/// With attempts of its own: nobody can ask for it again.
package struct RemoveWorkspaceFilesJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let workspaceId: ID<Workspace>
    }

    package static let kind: Job.Kind = "workspace_remove_files"
    package static let policy = JobPolicy(concurrency: 2, priority: 5, queues: true, maxAttempts: 10)

    private let directories: WorkspaceDirectories

    package init(directories: WorkspaceDirectories) {
        self.directories = directories
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        try await directories.removeClone(of: payload.workspaceId, in: payload.projectId)
        return { _ in }
    }

    /// There is no row left to tell; the log has the reason.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}

extension JobQueue {
    func enqueue(
        _ handler: RemoveWorkspaceFilesJob.Type,
        _ workspace: Workspace,
        in transaction: Transaction
    ) throws {
        let payload = RemoveWorkspaceFilesJob.Payload(projectId: workspace.projectID, workspaceId: workspace.id)
        try enqueue(
            handler,
            payload,
            project: workspace.projectID,
            resource: .workspace(workspace.id),
            in: transaction
        )
    }
}
