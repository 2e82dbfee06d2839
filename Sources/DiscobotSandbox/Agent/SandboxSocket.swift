// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc

/// The socket of a sandbox's runtime.
///
/// The runtime makes it in a directory that every program of the sandbox can write. So that none of them leads the server
/// to another socket, or fills this machine's disk from there, the server takes the socket to a place of its own and has
/// the directory end: in one that is gone nobody can make anything, whoever owns it. A new one is in its place, for when
/// the sandbox starts again.
package struct SandboxSocket: Sendable, Equatable {
    /// One operation at a time on each, by its path.
    private static let queue = SandboxQueue(maximumWaiters: 4096)

    /// What the sandbox sees.
    let directory: String

    /// Where the runtime makes it.
    var made: String { directory + "/agent.sock" }
    /// Where the server reaches it.
    package var path: String { directory + ".sock" }
    /// On its way from one to the other, also over the end of a server.
    private var held: String { directory + ".held" }
    private var nextDirectory: String { directory + ".next" }

    /// Takes a socket that the runtime has made since. Throws `SandboxError` when something else is there.
    func take() async throws {
        guard isNew else { return }
        try await alone {
            guard isNew else { return }
            try hold()
            try await replaceDirectory()
            guard rename(held, path) == 0 else { throw Self.failure("take", made) }
            // Two names of one file stay both.
            unlink(held)
        }
    }

    /// Empties the directory of a sandbox that does not run. It stays, for whoever starts that.
    func clear() async throws {
        try await alone { try await replaceDirectory() }
    }

    /// Removes everything of a sandbox that does not run.
    func remove() async throws {
        await AgentConnections.end(self)
        try await alone {
            for path in [made, held, path] { unlink(path) }
            for path in [nextDirectory, directory] where rmdir(path) != 0 { try await PrivateFile.removeTree(path) }
        }
    }

    private func alone(_ body: @Sendable () async throws -> Void) async throws {
        try await Self.queue.run(ID(rawValue: path), body)
    }

    /// Whether there is anything to connect to.
    var isThere: Bool { PrivateFile.exists(path) }

    private var isNew: Bool { PrivateFile.exists(made) || PrivateFile.exists(held) }

    private func hold() throws {
        guard PrivateFile.exists(made) else { return }
        unlink(held)
        // Of a symbolic link, this takes the link itself.
        guard link(made, held) == 0 || errno == ENOENT else {
            // Directories have no second names.
            throw errno == EPERM ? Self.replaced : Self.failure("take", made)
        }
        var status = stat()
        guard lstat(held, &status) != 0 || status.st_mode & S_IFMT == S_IFSOCK else {
            unlink(held)
            throw Self.replaced
        }
    }

    /// Ends the directory with all that is in it, for an empty one of the same owner's.
    private func replaceDirectory() async throws {
        var status = stat()
        guard lstat(directory, &status) == 0 else { return }
        if mkdir(nextDirectory, 0o700) == 0 {
            if geteuid() == 0 { chown(nextDirectory, status.st_uid, status.st_gid) }
        } else if errno != EEXIST {
            throw Self.failure("make", nextDirectory)
        }
        if geteuid() == 0 {
            // Where the sandbox's user is another one, nothing gets into it from here on.
            chown(directory, 0, 0)
            chmod(directory, 0o700)
        }
        unlink(made)
        if rename(nextDirectory, directory) == 0 { return }
        try await PrivateFile.removeTree(directory)
        guard rename(nextDirectory, directory) == 0 else { throw Self.failure("replace", directory) }
    }

    private static let replaced = SandboxError(.failed, "the sandbox has replaced its socket")

    private static func failure(_ verb: String, _ path: String) -> SandboxError {
        SandboxError(.failed, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
