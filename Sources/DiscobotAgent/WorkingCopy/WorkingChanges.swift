// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel

/// What the working copy has that the workspace has not. Everything throws `ServerError`.
struct WorkingChanges: Sendable {
    /// How many files are told of.
    static let fileLimit = 10_000
    /// How much of a patch is told, in bytes of one file and of all together.
    private static let patchLimit = 1 << 20
    private static let totalPatchLimit = 8 << 20

    let directories: DataDirectories
    let workingCopy: WorkingCopy
    let git: AgentGit
    /// The commit that the working copy began with; nil for none.
    let start: String?

    /// - Parameter base: nil for where the working copy began.
    func diff(since base: String?, includingPatches: Bool) async throws -> DiffResponse {
        let changes = try await changes(base, nil, includingPatches)
        var room = Self.totalPatchLimit
        let files = changes.files.prefix(Self.fileLimit).map { file in
            includingPatches
                ? FileDiff(file, room: &room, limit: Self.patchLimit, of: changes) : FileDiff(named: file)
        }
        return DiffResponse(
            files: files,
            stats: .init(
                filesChanged: changes.files.count,
                additions: changes.files.reduce(0) { $0 + $1.additions },
                deletions: changes.files.reduce(0) { $0 + $1.deletions }
            ),
            truncated: changes.files.count > files.count ? true : nil
        )
    }

    /// The change of one file, which may be none.
    func diff(of path: String, since base: String?, includingPatches: Bool) async throws -> FileDiff {
        let changes = try await changes(base, path, includingPatches)
        guard let file = changes.files.first(where: { $0.path == path }) ?? changes.files.first else {
            return FileDiff(
                path: path,
                status: .unchanged,
                oldPath: nil,
                additions: 0,
                deletions: 0,
                binary: false,
                patch: "",
                truncated: nil
            )
        }
        var room = Self.totalPatchLimit
        return includingPatches ? FileDiff(file, room: &room, limit: room, of: changes) : FileDiff(named: file)
    }

    private func changes(
        _ base: String?,
        _ path: String?,
        _ includesPatches: Bool
    ) async throws -> GitWorkingDiff.Changes {
        try workingCopy.requireReady()
        let diff = GitWorkingDiff(
            try git.command(in: directories.workspace),
            directory: directories.workspace,
            index: directories.newIndex
        )
        // Without anything else, where the branch of the workspace's own origin was.
        let bases = [base, start, "origin/HEAD", "origin/main", "origin/master"].compactMap(\.self)
        return try await translatingGitErrors {
            try await diff.changes(since: bases, path: path, includingPatches: includesPatches)
        }
    }
}

/// Runs `body`; what git says becomes a `ServerError`.
func translatingGitErrors<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as GitError {
        throw ServerError(error)
    }
}

extension FileDiff {
    fileprivate init(named file: GitFileDiff) {
        self.init(path: file.path, status: Status(file.status), oldPath: file.oldPath.isEmpty ? nil : file.oldPath)
    }

    /// - Parameters:
    ///   - room: how much may be told of this and all further files.
    ///   - limit: how much may be told of this one.
    ///   - changes: say whether a file without a patch has none.
    fileprivate init(_ file: GitFileDiff, room: inout Int, limit: Int, of changes: GitWorkingDiff.Changes) {
        let size = file.patch.utf8.count
        let isUnreadable = changes.unreadable.contains(file.path)
        let isCut = !file.binary && (size > min(room, limit) || size == 0 && changes.isCut || isUnreadable)
        if !isCut { room -= size }
        self.init(
            path: file.path,
            status: Status(file.status),
            oldPath: file.oldPath.isEmpty ? nil : file.oldPath,
            additions: file.additions,
            deletions: file.deletions,
            binary: file.binary,
            patch: isCut || file.binary ? nil : file.patch,
            truncated: isCut ? true : nil
        )
    }
}

extension FileDiff.Status {
    fileprivate init(_ change: GitChange) {
        self =
            switch change {
            case .added, .copied: .added
            case .deleted: .deleted
            case .renamed: .renamed
            case .modified, .unmerged, .typechanged, .unknown: .modified
            }
    }
}
