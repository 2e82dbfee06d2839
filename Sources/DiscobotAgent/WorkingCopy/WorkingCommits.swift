// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel
import FoundationEssentials
import Glibc
import SystemPackage

/// The commits of the working copy, for the workspace.
struct WorkingCommits: Sendable {
    let directories: DataDirectories
    let workingCopy: WorkingCopy
    let git: AgentGit
    let conversation: Conversation
    private let rebasing = RebaseLock()

    init(directories: DataDirectories, workingCopy: WorkingCopy, git: AgentGit, conversation: Conversation) {
        self.directories = directories
        self.workingCopy = workingCopy
        self.git = git
        self.conversation = conversation
    }

    private var export: GitCommitExport {
        get throws {
            try workingCopy.requireReady()
            return GitCommitExport(try git.command(in: directories.workspace))
        }
    }

    /// Throws `GitCommitExport.Refusal` and `ServerError`.
    func patches(after parent: String) async throws -> CommitsResponse {
        let (text, count) = try await translatingGitErrors { try await export.patches(after: parent) }
        return CommitsResponse(patches: text, commitCount: count)
    }

    /// A pack on disk that nobody else sees.
    struct Pack {
        let file: FileDescriptor
        let head: String
        let count: Int
    }

    /// Nil when there are no commits. The caller closes the file.
    func pack(beyond excluded: [String]) async throws -> Pack? {
        let path = "\(directories.agent)/pack.\(UUID().uuidString)"
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                FilePath(path),
                .readWrite,
                options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite
            )
        } catch {
            throw ServerError(.storageFull, "there is no room for the session's commits", cause: error)
        }
        unlink(path)
        do {
            let written = try await translatingGitErrors { try await export.writePack(to: file, beyond: excluded) }
            guard let written else {
                try? file.close()
                return nil
            }
            try file.seek(offset: 0, from: .start)
            return Pack(file: file, head: written.head, count: written.count)
        } catch {
            try? file.close()
            throw error
        }
    }

    /// Throws `conflict` while the agent works.
    func rebase(_ request: RebaseRequest) async throws -> RebaseResponse {
        try workingCopy.requireReady()
        guard await !conversation.status.isRunning else {
            throw ServerError.conflict("the agent is at work; wait for the end of its turn")
        }
        let work = try git.workingRebase()
        return try await rebasing.run {
            try await translatingGitErrors {
                let committer = try await GitRepository.committer(try git.command(in: directories.workspace))
                switch try await work.run(onto: request.onto, landed: request.landed, committer: committer) {
                case .done(let head): return RebaseResponse(head: head, conflicts: [], subject: nil)
                case .conflicts(let subject, let conflicts):
                    return RebaseResponse(
                        head: "",
                        conflicts: conflicts.prefix(1_000).map { .init(path: $0.path, reason: $0.reason) },
                        subject: subject
                    )
                }
            }
        }
    }
}

/// Runs one rebase at a time, to its end whatever becomes of who asked for it.
private actor RebaseLock {
    private var current: Task<RebaseResponse, any Error>?

    func run(_ body: @escaping @Sendable () async throws -> RebaseResponse) async throws -> RebaseResponse {
        guard current == nil else { throw ServerError.conflict("the session is being rebased already") }
        // Goes on when the caller gives up: half of it must not stay.
        let task = Task { try await body() }
        current = task
        defer { current = nil }
        return try await task.value
    }
}
