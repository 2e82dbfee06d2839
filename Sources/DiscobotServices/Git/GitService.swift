// SPDX-License-Identifier: Apache-2.0

package import DiscobotGit
package import DiscobotModel
package import DiscobotStore
import ServiceLifecycle

/// Git operations on the working copy of a workspace.
///
/// Each throws `notFound` for an unknown workspace, what the request has wrong as `invalidArgument`, `notFound`,
/// `conflict` or `tooLarge`, and `operationFailed` when git fails.
package struct GitService: Sendable {
    let store: Store
    private let workspaces: WorkspaceService
    /// Operations that change a working copy do so one at a time.
    let changes = KeyedQueue<String>()

    package init(store: Store, workspaces: WorkspaceService) {
        self.store = store
        self.workspaces = workspaces
    }

    /// A workspace as a request names it.
    package struct Target: Sendable {
        let workspace: ID<Workspace>
        let project: ID<Project>

        package init(workspace: ID<Workspace>, project: ID<Project>) {
            self.workspace = workspace
            self.project = project
        }
    }

    package func status(_ target: Target) async throws -> GitStatus {
        try await read(target, "get status") { try await $0.status() }
    }

    package func branches(_ target: Target) async throws -> [GitBranch] {
        try await read(target, "list branches") { try await $0.branches() }
    }

    package func diff(_ target: Target, _ request: GitDiffRequest) async throws -> [GitFileDiff] {
        try await read(target, "get diff") { try await $0.diff(request) }
    }

    package func files(_ target: Target, at ref: String) async throws -> [GitTreeEntry] {
        try await read(target, "list files") { try await $0.files(at: ref) }
    }

    /// The bytes of a file at `ref`, or in the working copy when it is nil.
    package func file(_ target: Target, path: String, at ref: String?) async throws -> [UInt8] {
        try await read(target, "read file") { repository in
            guard let ref else { return try repository.workingFile(path) }
            return try await repository.file(path, at: ref)
        }
    }

    /// Commits before `ref`, newest first, after `skip` of them.
    package func log(_ target: Target, ref: String, limit: Int, skip: Int) async throws -> [GitCommit] {
        try await read(target, "get log") { try await $0.log(ref: ref, limit: limit, skip: skip) }
    }

    /// The full id of the commit that `ref` names.
    package func resolve(_ target: Target, ref: String) async throws -> String? {
        try await read(target, "resolve ref") { repository in
            ref == "HEAD" ? try await repository.headCommit() : try await repository.resolve(ref)
        }
    }

    package func fetch(_ target: Target) async throws {
        // The remote may take long; a stopping server does not wait for it.
        try await cancelWhenGracefulShutdown {
            try await change(target, "fetch") { try await $0.fetch() }
        }
    }

    package func checkout(_ target: Target, ref: String) async throws {
        try await change(target, "checkout") { try await $0.checkout(ref) }
        try await recordHead(target)
    }

    package func write(_ target: Target, path: String, contents: [UInt8]) async throws {
        try await change(target, "write file") { try $0.writeWorkingFile(path, contents: contents) }
    }

    package func stage(_ target: Target, paths: [String]) async throws {
        try await change(target, "stage files") { try await $0.stage(paths) }
    }

    package func commit(_ target: Target, message: String, author: GitIdentity?) async throws -> GitCommit {
        let commit = try await change(target, "commit") { try await $0.commit(message: message, author: author) }
        try await recordHead(target)
        return commit
    }

    func read<Value: Sendable>(
        _ target: Target,
        _ verb: String,
        _ body: @Sendable (GitRepository) async throws -> Value
    ) async throws -> Value {
        let repository = try await workspaces.repository(of: target.workspace, in: target.project)
        return try await translatingGitErrors(verb) { try await body(repository) }
    }

    /// Runs `body` while nobody else changes the working copy, and nothing in it is half done.
    func change<Value: Sendable>(
        _ target: Target,
        _ verb: String,
        _ body: @Sendable (GitRepository) async throws -> Value
    ) async throws -> Value {
        let repository = try await workspaces.repository(of: target.workspace, in: target.project)
        return try await changes.run(repository.directory) {
            try await settleLandings(in: repository)
            return try await translatingGitErrors(verb) { try await body(repository) }
        }
    }

    /// The workspace's row follows its working copy.
    func recordHead(_ target: Target) async throws {
        let head = try await read(target, "read HEAD") { try await $0.headCommit() }
        try await store.write { transaction in
            guard var workspace = try transaction.workspace(target.workspace, of: target.project),
                workspace.status == .ready, workspace.commit != head
            else { return }
            workspace.commit = head
            workspace.updatedAt = .now
            try transaction.update(workspace)
            try transaction.append(.workspaceUpdated(workspace.id, workspace.status), to: target.project)
        }
    }
}
