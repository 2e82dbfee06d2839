// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import FoundationEssentials
import Glibc
import SystemPackage

/// How the runtime runs git for itself.
struct AgentGit: Sendable {
    private let environment: GitEnvironment
    private let variables: [String: String]
    private let directories: DataDirectories

    /// - Parameter mark: tells git's processes from those of agents.
    init(path: String?, directories: DataDirectories, mark: [String: String]) {
        self.directories = directories
        environment = GitEnvironment(inheriting: ["PATH": path, "HOME": directories.home].compactMapValues { $0 })
        // Files that LFS keeps elsewhere stay pointers: nobody here may fetch them.
        variables = mark.merging(["GIT_LFS_SKIP_SMUDGE": "1"]) { $1 }
    }

    /// Runs git with the configuration of the runtime. Throws `GitError`, or `CancellationError`.
    @discardableResult
    func run(
        _ arguments: [String],
        in directory: String?,
        acceptedExitCodes: Set<Int32> = [0],
        timeout: Duration = .seconds(60)
    ) async throws -> GitOutput {
        try await command(in: directory).run(arguments, timeout: timeout, acceptedExitCodes: acceptedExitCodes)
    }

    /// Git with the configuration of the runtime.
    func command(in directory: String?) throws -> GitCommand {
        try prepareConfiguration()
        let variables = variables.merging(["GIT_CONFIG_GLOBAL": directories.gitConfiguration]) { $1 }
        return GitCommand(directory: directory, environment: environment.adding(variables))
    }

    /// Moves the working copy onto other commits.
    func workingRebase() throws -> GitWorkingRebase {
        GitWorkingRebase(
            try command(in: directories.workspace),
            directory: directories.workspace,
            scratch: directories.rebase
        )
    }

    /// Sets a value of the configuration that the agents' git reads.
    func configure(_ name: String, _ value: String) async throws {
        _ = try await GitCommand(directory: nil, environment: environment).run(
            ["config", "--global", "--", name, value],
            variables: variables
        )
    }

    /// The workspace often belongs to another user. A file says that this is meant, because git keeps what variables
    /// say of it from the process that serves a clone.
    private func prepareConfiguration() throws {
        let text = "[safe]\n\tdirectory = *\n"
        guard (try? String(contentsOfFile: directories.gitConfiguration, encoding: .utf8)) != text else { return }
        // In one step, as git may read it at any time. It need not outlive a power cut, which would take milliseconds.
        let new = directories.gitConfiguration + ".\(UUID().uuidString)"
        try text.write(toFile: new, atomically: false, encoding: .utf8)
        guard rename(new, directories.gitConfiguration) == 0 else {
            throw GitError(.failed, "\(directories.gitConfiguration) cannot be written: \(Errno(rawValue: errno))")
        }
    }
}
