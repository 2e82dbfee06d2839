// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore

/// Takes a session's commits to its workspace. When it has none, its agent is asked to commit first.
///
/// A failure is told in the session, and the job counts as done: whoever wants it asks again. Another matter is a server
/// that dies, or a step that can be neither finished nor undone: the next attempt finds what the step that was written
/// down has come to, and goes on from there.
package struct CommitSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
        let workspaceId: ID<Workspace>
        /// Of the message that asks the agent to commit, if that is needed.
        let messageId: String
        /// The workspace's commit with what an earlier request has landed without seeing the end of it; nil for none.
        let landed: String?
    }

    package static let kind: Job.Kind = "session_commit"
    /// The agent may ask its user something, who may take hours. Attempts are used up by servers that die.
    package static let policy = JobPolicy(
        concurrency: 64,
        queues: true,
        timeout: .seconds(24 * 3600),
        maxAttempts: 50,
        drains: false
    )

    let sandboxes: SandboxService
    let git: GitService
    let directories: WorkspaceDirectories
    let feed: TurnFeed

    package init(
        sandboxes: SandboxService,
        git: GitService,
        directories: WorkspaceDirectories,
        feed: TurnFeed
    ) {
        self.sandboxes = sandboxes
        self.git = git
        self.directories = directories
        self.feed = feed
    }

    var store: Store { sandboxes.store }

    func operation(_ payload: Payload) -> CommitOperation {
        CommitOperation(session: payload.sessionId, project: payload.projectId, store: store)
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        let operation = operation(payload)
        guard let session = try await operation.current() else { return { _ in } }
        do {
            guard session.baseCommit != nil else { throw ServerError.conflict("No base commit set") }
            if try await !hasLanded(session, payload) { try await land(session, payload) }
            try? await directories.removeQuarantine(of: session.id, in: session.projectID)
            return { transaction in
                try operation.change(in: transaction) { session in
                    session.commitStatus = .completed
                    session.commitError = nil
                }
            }
        } catch let error as ServerError where !error.isOfServer {
            return { try operation.fail(error.message, in: $0) }
        }
    }

    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {
        try operation(payload).fail(reason, in: transaction)
    }

    private func land(_ session: Session, _ payload: Payload) async throws {
        let session = try await followWorkspace(session, payload)
        let quarantine = try await makeQuarantine(payload)
        do {
            if let head = try await fetch(session, quarantine, payload) {
                try await land(head, quarantine, payload)
            } else {
                try await operation(payload).change { $0.appliedCommit = payload.landed }
                try await finish(payload)
            }
        } catch {
            try? await directories.removeQuarantine(of: session.id, in: session.projectID)
            throw error
        }
    }

    /// The workspace may have moved on since somebody asked.
    private func followWorkspace(_ session: Session, _ payload: Payload) async throws -> Session {
        let head = try await git.resolve(payload.target, ref: "HEAD")
        guard let head else { throw ServerError.conflict("the workspace has no commit any more") }
        return try await operation(payload).change { $0.baseCommit = head }
    }

    private func makeQuarantine(_ payload: Payload) async throws -> GitQuarantine {
        let directory = directories.quarantine(of: payload.sessionId, in: payload.projectId)
        return try await git.read(payload.target, "prepare the commit") { repository in
            try await GitQuarantine.make(
                at: directory,
                for: repository.command,
                committer: try await repository.committer()
            )
        }
    }

    // MARK: - From the session

    /// Gets the session's commits into the quarantine; returns the last one. Nil when all have landed before.
    private func fetch(
        _ session: Session,
        _ quarantine: GitQuarantine,
        _ payload: Payload
    ) async throws -> String? {
        let known = try await known(session, payload)
        var head: String?
        do {
            head = try await download(session, known, quarantine)
            if head == nil, payload.landed != nil { return nil }
        } catch let error as ServerError where error.isOfSessionRepository {
            // Asking the agent may help, and tells why otherwise.
        }
        if head == nil {
            let failure = try await askAgent(payload)
            head = try await download(session, known, quarantine)
            if head == nil, let failure { throw ServerError.conflict("the agent could not commit: \(failure)") }
        }
        guard let head else { throw Self.noCommits }
        try await translatingGitErrors("take the session's commits") { try await quarantine.takePack() }
        return head
    }

    static let noCommits = ServerError.conflict("No commits found in agent sandbox")

    /// Between attempts to reach an agent.
    private static let pauses: [Duration] = [.milliseconds(200), .seconds(1), .seconds(5)]
    /// One that has been silent for longer is not tried again.
    private static let patience: Duration = .seconds(60)

    /// Nil when there are none. An agent that cannot be reached, or that breaks off, may be there again in a moment.
    private func download(
        _ session: Session,
        _ known: [String],
        _ quarantine: GitQuarantine
    ) async throws -> String? {
        for pause in Self.pauses {
            let start = ContinuousClock.now
            do {
                return try await downloadOnce(session, known, quarantine)
            } catch let error as ServerError where error.code == .unavailable && error.cause is AgentError {
                guard start.duration(to: .now) < Self.patience else { throw error }
                try await Task.sleep(for: pause)
            }
        }
        return try await downloadOnce(session, known, quarantine)
    }

    private func downloadOnce(
        _ session: Session,
        _ known: [String],
        _ quarantine: GitQuarantine
    ) async throws -> String? {
        let agent = try await sandboxes.agent(of: session.id, in: session.projectID, patience: .seconds(600))
        return try await translatingSandboxErrors {
            try await agent.writeCommits(beyond: known, to: quarantine.packFile, limit: GitQuarantine.Limit.pack)
        }
    }

    /// Commits that are no news for the workspace.
    private func known(_ session: Session, _ payload: Payload) async throws -> [String] {
        let commits = [session.baseCommit, session.landedCommit, session.workspaceCommit].compactMap(\.self)
        return try await git.read(payload.target, "find commits") { try await GitLanding($0).known(commits) }
    }

    /// Has the agent commit, in a turn like any other; returns why that failed, if it did.
    private func askAgent(_ payload: Payload) async throws -> String? {
        let session = try await operation(payload).change { $0.commitStatus = .committing }
        let id = try await store.write { transaction -> ID<Turn> in
            if let turn = try transaction.turn(of: payload.messageId, in: session.id) { return turn.id }
            let prompt = CommitPrompt.message(id: payload.messageId, base: session.baseCommit ?? "")
            try transaction.append(try Message(prompt, session: session.id))
            let turn = Turn(
                id: .random(),
                sessionID: session.id,
                messageID: payload.messageId,
                options: Turn.Options(),
                createdAt: .now
            )
            try transaction.insert(turn)
            try sandboxes.jobs.enqueue(RunTurnJob.self, turn, project: session.projectID, in: transaction)
            return turn.id
        }
        return try await end(of: id)
    }

    private func end(of id: ID<Turn>) async throws -> String? {
        let subscription = feed.subscribe(to: id, for: .progress)
        defer { feed.unsubscribe(subscription) }
        for await _ in subscription {
            guard let turn = try await store.read({ try $0.turn(id) }) else {
                throw ServerError.notFound("Session not found")
            }
            switch turn.status {
            case .queued, .running: continue
            case .completed: return nil
            case .cancelled: return "its turn was cancelled"
            case .failed: return turn.error ?? "its turn failed"
            }
        }
        throw CancellationError()
    }
}

extension ServerError {
    /// Whether a session's agent has refused because of what its repository is like, which the agent can mend.
    fileprivate var isOfSessionRepository: Bool {
        guard case .refused(let status)? = (cause as? AgentError)?.code else { return false }
        return [404, 409, 500].contains(status)
    }
}

extension CommitSessionJob.Payload {
    var target: GitService.Target { GitService.Target(workspace: workspaceId, project: projectId) }
}

extension JobQueue {
    func enqueue(
        _ handler: CommitSessionJob.Type,
        _ session: Session,
        message: String,
        landed: String?,
        in transaction: Transaction
    ) throws {
        let payload = CommitSessionJob.Payload(
            projectId: session.projectID,
            sessionId: session.id,
            workspaceId: session.workspaceID,
            messageId: message,
            landed: landed
        )
        try enqueue(handler, payload, project: session.projectID, resource: .commit(session.id), in: transaction)
    }
}
