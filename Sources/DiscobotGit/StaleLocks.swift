// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The locks that a git that was killed has left in a repository, which would refuse everybody for ever.
struct StaleLocks {
    private let command: GitCommand

    /// - Parameter command: runs in the top directory of the working tree.
    init(_ command: GitCommand) {
        self.command = command
    }

    /// Removes those that stay for so long after the git that took them: then they are nobody's.
    func remove(after patience: Duration = .seconds(3)) async throws {
        let before = try await paths().compactMap { path in Self.identity(of: path).map { (path, $0) } }
        guard !before.isEmpty else { return }
        try await Task.sleep(for: patience)
        for (path, identity) in before where Self.identity(of: path) == identity { unlink(path) }
    }

    /// Of the index and of what HEAD stands for, wherever git keeps them.
    private func paths() async throws -> [String] {
        let branch = try await command.run(["symbolic-ref", "-q", "HEAD"], acceptedExitCodes: [0, 1]).line
        let names = ["index", "HEAD", "ORIG_HEAD", branch].filter { !$0.isEmpty }
        let output = try await command.run(["rev-parse"] + names.flatMap { ["--git-path", "\($0).lock"] })
        return output.text.split(separator: "\n").map { path in
            String(path).isAbsolutePath ? String(path) : "\(command.directory ?? ".")/\(path)"
        }
    }

    private static func identity(of path: String) -> [Int]? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return [Int(status.st_ino), Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec)]
    }
}
