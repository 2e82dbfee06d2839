// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// A repository on disk and what the server does with it. Everything goes through git itself except the files of
/// the working tree, see ``WorkingDirectory``.
package struct GitRepository: Sendable {
    /// Absolute.
    package let directory: String
    /// Without a working tree.
    package let isBare: Bool
    /// Where git keeps what belongs to this working tree.
    let gitDirectory: String
    package let command: GitCommand

    private init(directory: String, isBare: Bool, gitDirectory: String, command: GitCommand) {
        self.directory = directory
        self.isBare = isBare
        self.gitDirectory = gitDirectory
        self.command = command
    }

    /// Opens the repository whose top directory is `path`: with a working tree, bare, a worktree or a submodule.
    /// Throws `.notARepository`, also for a directory below the top.
    package static func open(
        _ path: String,
        environment: GitEnvironment = GitEnvironment()
    ) async throws -> GitRepository {
        guard path.isAbsolutePath else { throw GitError(.invalidArgument, "the path must be absolute: \(path)") }
        let directory = FilePath(path).lexicallyNormalized().string
        let command = GitCommand(directory: directory, environment: environment)
        let layout = try await layout(path: path, command)
        guard layout.isTop(of: directory) else { throw notARepository(path) }
        return GitRepository(
            directory: directory,
            isBare: layout.isBare,
            gitDirectory: String(layout.gitDirectory),
            command: command
        )
    }

    private static func layout(path: String, _ command: GitCommand) async throws -> Layout {
        let arguments = [
            "rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--show-prefix", "--absolute-git-dir",
        ]
        do {
            return Layout(try await command.run(arguments).text)
        } catch let error as GitError {
            throw explained(error, path: path)
        }
    }

    private static func explained(_ error: GitError, path: String) -> GitError {
        // git before 2.35.3 says "unsafe repository".
        if error.message.contains("dubious ownership") || error.message.contains("unsafe repository") {
            return GitError(
                .failed,
                """
                the repository belongs to another user; to trust it, run as the user of the server: \
                git config --global --add safe.directory '\(path)'
                """
            )
        }
        return [.notFound, .notARepository].contains(error.code) ? notARepository(path) : error
    }

    static func notARepository(_ path: String) -> GitError {
        GitError(.notARepository, "not a git repository: \(path)")
    }

    /// What `rev-parse` says about a directory.
    private struct Layout {
        let isBare: Bool
        let isInsideWorkTree: Bool
        let prefix: Substring
        let gitDirectory: Substring

        init(_ text: String) {
            // The last field may contain line breaks itself.
            let fields = text.split(separator: "\n", maxSplits: 3, omittingEmptySubsequences: false)
            isBare = fields.first == "true"
            isInsideWorkTree = fields.dropFirst().first == "true"
            prefix = fields.dropFirst(2).first ?? ""
            gitDirectory = fields.dropFirst(3).first?.dropLast() ?? ""
        }

        /// git knows directories by their canonical paths.
        private static func realPath(_ path: String) -> String {
            guard let resolved = realpath(path, nil) else { return path }
            defer { free(resolved) }
            return String(cString: resolved)
        }

        func isTop(of directory: String) -> Bool {
            isBare ? gitDirectory == Self.realPath(directory) : isInsideWorkTree && prefix.isEmpty
        }
    }
}
