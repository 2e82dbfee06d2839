// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Whether a sandbox's user can read a workspace.
enum WorkspaceAccess {
    /// Throws `SandboxError` that names what cannot be read, and what helps.
    static func check(_ path: String, for user: DockerUser) throws {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            let reason =
                errno == EACCES && access(path, F_OK) != 0
                ? "cannot be reached: the server's user may not search a directory above it" : "is not there"
            throw SandboxError(.startFailed, "the workspace's directory \(path) \(reason)")
        }
        for place in places(in: path) where stat(place, &status) == 0 {
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            guard allows(status, user, isDirectory ? 0o5 : 0o4) else {
                let quoted = "'" + path.replacing("'", with: #"'\''"#) + "'"
                throw SandboxError(
                    .startFailed,
                    "the sandbox's user \(user) cannot read \(place); let it, for example by chmod -R o+rX \(quoted)"
                )
            }
        }
    }

    /// What the working copy is made of. Objects have directories that whoever commits makes with other rights.
    private static func places(in path: String) -> [String] {
        let git = path + "/.git"
        let objects = (try? FileManager.default.contentsOfDirectory(atPath: git + "/objects")) ?? []
        // Git also makes some for itself, which are nobody else's.
        let kept = objects.filter { $0 == "pack" || $0.count == 2 }
        return [path, git, git + "/HEAD", git + "/packed-refs", git + "/objects"]
            + kept.map { "\(git)/objects/\($0)" }
    }

    private static func allows(_ status: stat, _ user: DockerUser, _ bits: mode_t) -> Bool {
        let mode =
            if status.st_uid == uid_t(user.uid) {
                status.st_mode >> 6
            } else if status.st_gid == gid_t(user.gid) {
                status.st_mode >> 3
            } else {
                status.st_mode
            }
        return mode & bits == bits
    }
}
