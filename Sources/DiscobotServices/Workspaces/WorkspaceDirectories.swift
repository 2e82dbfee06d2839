// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
package import DiscobotModel
import Foundation

/// Where the working copies of workspaces are.
package struct WorkspaceDirectories: Sendable {
    private let base: String

    /// - Parameter base: the absolute directory below which the server keeps its clones.
    package init(base: String) {
        self.base = base
    }

    /// The directory of a workspace's working copy: its own for a local one, the server's clone for a remote one.
    package func workingCopy(of workspace: Workspace) -> String {
        switch workspace.sourceType {
        case .local: workspace.path
        case .git: clone(of: workspace.id, in: workspace.projectID)
        }
    }

    /// Where the server clones a workspace to; it creates this directory, so it may remove it.
    func clone(of workspace: ID<Workspace>, in project: ID<Project>) -> String {
        "\(base)/\(project)/workspaces/\(workspace)"
    }

    /// Where the commits of a session are looked at before they land.
    func quarantine(of session: ID<Session>, in project: ID<Project>) -> String {
        "\(base)/\(project)/commits/\(session)"
    }

    /// Removes what a session's commits have needed, and the directories of its project once they are empty.
    func removeQuarantine(of session: ID<Session>, in project: ID<Project>) async throws {
        try await remove(quarantine(of: session, in: project))
        for parent in ["\(base)/\(project)/commits", "\(base)/\(project)"] { rmdir(parent) }
    }

    /// Whether there is, or may be soon, a clone that the server has made.
    func hasClone(of workspace: Workspace) -> Bool {
        workspace.sourceType == .git || exists(clone(of: workspace.id, in: workspace.projectID))
    }

    /// Creates the base directory, closed to other users of the machine; throws `ServerError`.
    package func createBase() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: base,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw ServerError(
                .unavailable,
                "WORKSPACE_DIR: \(base) cannot be created; check who may write there",
                cause: error
            )
        }
    }

    /// Removes all clones of a project, also those that are no longer any workspace's or that a killed server has left.
    func removeClones(in project: ID<Project>) async throws {
        try await translatingGitErrors { try await UnfinishedClones.end(in: "\(base)/\(project)") }
        try await remove("\(base)/\(project)")
    }

    /// Removes a clone, and the directories of its project once they are empty.
    func removeClone(of workspace: ID<Workspace>, in project: ID<Project>) async throws {
        let directory = clone(of: workspace, in: project)
        try await translatingGitErrors { try await GitRepository.discardUnfinishedClone(of: directory) }
        try await remove(directory)
        for parent in ["\(base)/\(project)/workspaces", "\(base)/\(project)"] { rmdir(parent) }
    }

    /// Removes a tree on a thread of its own: a large one takes long, and requests need the threads that tasks run on.
    private func remove(_ directory: String) async throws {
        guard exists(directory) else { return }
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(with: Result { try FileManager.default.removeItem(atPath: directory) })
            }
        }
    }

    func exists(_ directory: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory) && isDirectory.boolValue
    }
}
