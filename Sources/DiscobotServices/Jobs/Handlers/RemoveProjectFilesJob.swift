// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
package import DiscobotStore

/// Removes the clones of a project whose rows are gone, and what its sandboxes shared, once the cancelled jobs of the
/// project have ended.
///
/// With attempts of its own: nobody can ask for it again.
package struct RemoveProjectFilesJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
    }

    package static let kind: Job.Kind = "project_remove_files"
    package static let policy = JobPolicy(concurrency: 2, priority: 5, maxAttempts: 10)

    private let directories: WorkspaceDirectories
    private let sandboxes: SandboxService

    package init(directories: WorkspaceDirectories, sandboxes: SandboxService) {
        self.directories = directories
        self.sandboxes = sandboxes
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        try await directories.removeClones(in: payload.projectId)
        do {
            try await sandboxes.removeCaches(of: payload.projectId)
        } catch let error as ServerError where error.code == .conflict {
            // The jobs that remove its sandboxes may come later than this attempt, and before another one.
            throw ServerError(.unavailable, error.message, cause: error)
        } catch let error as ServerError where error.code == .unsupported {
            // Then there is none.
        }
        return { _ in }
    }

    /// There is no row left to tell; the log has the reason.
    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {}
}
