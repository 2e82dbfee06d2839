// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import Glibc

/// What of a working copy is not committed, to be compared with a later state.
struct WorkingCopyState: Sendable, Equatable {
    /// What tells one content of a file from another, without reading it.
    struct Stamp: Sendable, Equatable {
        let size: Int
        let inode: UInt64
        let seconds: Int
        let nanoseconds: Int
    }

    let head: String
    /// By path; nil where there is no file.
    let files: [String: Stamp?]

    private static let limit = 100_000

    /// Throws `GitError`.
    static func read(_ directory: String, _ git: AgentGit) async throws -> WorkingCopyState {
        let head = try await git.run(
            ["rev-parse", "--verify", "-q", "HEAD"],
            in: directory,
            acceptedExitCodes: [0, 1]
        )
        let status = try await git.run(
            ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all"],
            in: directory
        )
        var files: [String: Stamp?] = [:]
        for entry in status.bytes.split(separator: 0).prefix(limit) where entry.count > 3 {
            let path = String(decoding: entry.dropFirst(3), as: UTF8.self)
            files[path] = .some(stamp("\(directory)/\(path)"))
        }
        return WorkingCopyState(
            head: head.text.filter { !$0.isWhitespace },
            files: files
        )
    }

    private static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return Stamp(
            size: Int(status.st_size),
            inode: UInt64(status.st_ino),
            seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec
        )
    }

    /// The files that differ from an earlier state: committed meanwhile or not. Without one, all that is not committed.
    func changes(since before: WorkingCopyState?, in directory: String, _ git: AgentGit) async throws -> Set<String> {
        guard let before else { return Set(files.keys) }
        var changed = Set(files.keys.filter { files[$0] != before.files[$0] })
        changed.formUnion(before.files.keys.filter { files[$0] == nil })
        guard head != before.head, !head.isEmpty, !before.head.isEmpty else { return changed }
        let committed = try await git.run(
            ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", before.head, head, "--"],
            in: directory
        )
        for path in committed.bytes.split(separator: 0).prefix(Self.limit) {
            changed.insert(String(decoding: path, as: UTF8.self))
        }
        return changed
    }
}
