// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Testing

@testable import DiscobotServices

@Suite(.timeLimit(.minutes(10)))
struct InitializeWorkspaceJobTests {
    /// What prepares a directory below `$0`, the directory's name, and words of the reason.
    private static let faults = [
        ("mkdir full; touch full/file", "full", "not a git repository"),
        ("true", "missing/inner", "parent directory does not exist"),
        ("touch file", "file", "not a directory"),
        ("touch file", "file/inner", "parent directory does not exist"),
        ("mkdir lost; echo 'gitdir: /nowhere' > lost/.git; touch lost/file", "lost", "not a git repository"),
        ("git init -q broken; echo nonsense > broken/.git/HEAD; touch broken/file", "broken", "not a git repository"),
        ("git init -q bad; echo '[' > bad/.git/config; touch bad/file", "bad", "bad config"),
        ("ln -s /proc proc", "proc/nobody-may-create-this", "cannot be created"),
    ]

    @Test(arguments: faults)
    func `a local directory with a lasting fault is not tried again`(
        preparation: String,
        name: String,
        reason: String
    ) async throws {
        try await TemporaryDirectory.with { directory in
            try await Shell.run("cd \"$0\" && \(preparation)", directory.path)
            try await StoreBackend.sqlite.withStore { store in
                let workspace = try await insertWorkspace(directory.file(name), in: store)
                let job = InitializeWorkspaceJob(
                    store: store,
                    directories: WorkspaceDirectories(base: directory.file("clones"))
                )
                let error = await #expect(throws: ServerError.self) {
                    _ = try await job.run(.init(projectId: "p", workspaceId: workspace))
                }
                #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
                #expect(error?.isPermanent == true, "\(error?.code.name ?? "")")
            }
        }
    }

    /// As a request stored it before the directory changed.
    private func insertWorkspace(_ path: String, in store: Store) async throws -> ID<Workspace> {
        let now = Timestamp.now
        let workspace = Workspace(
            id: "w",
            projectID: "p",
            path: path,
            displayName: nil,
            sourceType: .local,
            provider: "",
            status: .initializing,
            errorMessage: nil,
            commit: nil,
            createdAt: now,
            updatedAt: now
        )
        let project = Project(id: "p", name: "P", slug: "p", createdAt: now, updatedAt: now)
        try await store.write { transaction in
            try transaction.seed(.anonymous, providerID: "anonymous")
            try transaction.insert(project, owner: User.anonymous.id)
            try transaction.insert(workspace)
        }
        return workspace.id
    }
}
