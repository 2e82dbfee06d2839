// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
package import DiscobotModel
import DiscobotSandbox
import DiscobotStore

/// The files of a session's working copy, which its sandbox holds; it is started when it does not run.
///
/// Everything throws `notFound` for an unknown session, what the sandbox's agent says, and `unavailable` when the sandbox
/// takes too long.
package struct SessionFiles: Sendable {
    private let sandboxes: SandboxService
    private let git: GitService
    private let activity: SessionActivity

    package init(sandboxes: SandboxService, git: GitService, activity: SessionActivity) {
        self.sandboxes = sandboxes
        self.git = git
        self.activity = activity
    }

    /// A session as a request names it.
    package struct Target: Sendable {
        let session: ID<Session>
        let project: ID<Project>

        package init(session: ID<Session>, project: ID<Project>) {
            self.session = session
            self.project = project
        }
    }

    package func list(_ path: String, includingHidden: Bool, of target: Target) async throws -> DirectoryResponse {
        try await withAgent(of: target) { try await $0.files(in: path, includingHidden: includingHidden) }
    }

    /// Files and directories by some letters of their paths, the best first.
    package func search(_ query: String, limit: Int, of target: Target) async throws -> FileSearchResponse {
        try await withAgent(of: target) { try await $0.searchFiles(query, limit: limit) }
    }

    package func read(_ path: String, of target: Target) async throws -> FileResponse {
        try await withAgent(of: target) { try await $0.readFile(path) }
    }

    /// `If-Match` and `If-None-Match` as the user gave them.
    package typealias Conditions = [(name: String, value: String)]

    /// Throws `preconditionFailed` as well.
    package func write(
        _ request: WriteFileRequest,
        conditions: Conditions,
        of target: Target
    ) async throws -> WriteFileResponse {
        try await withAgent(of: target) { try await $0.writeFile(request, conditions: conditions) }
    }

    /// Throws `preconditionFailed` as well.
    package func remove(
        _ request: RemoveFileRequest,
        conditions: Conditions,
        of target: Target
    ) async throws -> RemoveFileResponse {
        try await withAgent(of: target) { try await $0.removeFile(request, conditions: conditions) }
    }

    /// Throws `preconditionFailed` as well.
    ///
    /// - Parameter conditions: of the file at the old path.
    package func rename(
        _ request: RenameFileRequest,
        conditions: Conditions,
        of target: Target
    ) async throws -> RenameFileResponse {
        try await withAgent(of: target) { try await $0.renameFile(request, conditions: conditions) }
    }

    /// A file as it was in the workspace's repository when the session began, or when it was last committed.
    package func readFromBase(_ path: String, of target: Target) async throws -> FileResponse {
        let session = try await sandboxes.store.read { try $0.session(target.session, of: target.project) }
        guard let session else { throw ServerError.notFound("Session not found") }
        guard let commit = session.baseCommit ?? session.workspaceCommit else {
            throw ServerError.notFound("the session began without a commit")
        }
        let bytes = try await git.file(
            .init(workspace: session.workspaceID, project: target.project),
            path: path,
            at: commit
        )
        return FileResponse(path: path, contents: bytes)
    }

    // MARK: - Changes

    /// What the session has changed since its commits were last taken to the workspace.
    package func diff(includingPatches: Bool, of target: Target) async throws -> DiffResponse {
        let base = try await base(of: target)
        return try await withAgent(of: target) { try await $0.diff(since: base, includingPatches: includingPatches) }
    }

    /// What the session has changed of one file.
    package func diff(of path: String, includingPatches: Bool, of target: Target) async throws -> FileDiff {
        let base = try await base(of: target)
        return try await withAgent(of: target) {
            try await $0.diff(of: path, since: base, includingPatches: includingPatches)
        }
    }

    private func base(of target: Target) async throws -> String? {
        let session = try await sandboxes.store.read { try $0.session(target.session, of: target.project) }
        guard let session else { throw ServerError.notFound("Session not found") }
        return session.landedCommit ?? session.baseCommit ?? session.workspaceCommit
    }

    private func withAgent<Value>(of target: Target, _ body: (AgentClient) async throws -> Value) async throws -> Value
    {
        let agent = try await sandboxes.agent(of: target.session, in: target.project, patience: .seconds(60))
        return try await activity.during(target.session) {
            try await translatingSandboxErrors { try await body(agent) }
        }
    }
}
