// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
package import DiscobotModel
import DiscobotSandbox
package import DiscobotStore

/// Puts what a session has on top of its workspace's newest commit, in its sandbox; or says what does not fit, and then
/// nothing changes there. Done again, it finds that nothing is left to do.
package struct RebaseSessionJob: JobHandler {
    package struct Payload: Codable, Sendable {
        let projectId: ID<Project>
        let sessionId: ID<Session>
        let workspaceId: ID<Workspace>
    }

    package static let kind: Job.Kind = "session_rebase"
    package static let policy = JobPolicy(concurrency: 64, queues: true, timeout: .seconds(3_600), maxAttempts: 10)

    private let sandboxes: SandboxService
    private let git: GitService

    package init(sandboxes: SandboxService, git: GitService) {
        self.sandboxes = sandboxes
        self.git = git
    }

    private func operation(_ payload: Payload) -> CommitOperation {
        CommitOperation(session: payload.sessionId, project: payload.projectId, store: sandboxes.store)
    }

    package func run(_ payload: Payload) async throws -> JobResult {
        let operation = operation(payload)
        guard let session = try await operation.current() else { return { _ in } }
        do {
            let head = try await rebase(session, payload)
            return { transaction in
                try operation.change(in: transaction) { session in
                    session.commitStatus = .none
                    session.baseCommit = head
                    // What has landed is below the new base, whatever form it has.
                    session.landedCommit = nil
                }
            }
        } catch let error as ServerError where !error.isOfServer {
            return { try operation.fail(error.message, in: $0) }
        }
    }

    package func giveUp(_ payload: Payload, reason: String, in transaction: Transaction) throws {
        try operation(payload).fail(reason, in: transaction)
    }

    private func rebase(_ session: Session, _ payload: Payload) async throws -> String {
        let target = GitService.Target(workspace: payload.workspaceId, project: payload.projectId)
        guard let head = try await git.resolve(target, ref: "HEAD") else {
            throw ServerError.conflict("the workspace has no commit any more")
        }
        let agent = try await sandboxes.agent(of: session.id, in: session.projectID, patience: .seconds(600))
        // Before the session needs it: the workspace may move on.
        try await git.change(target, "keep the commit") { repository in
            try await operation(payload).keep([session.id.landingRef: head], in: repository)
        }
        // Only now: that may have told what became of an earlier landing.
        let landed = [try await operation(payload).current()?.landedCommit].compactMap(\.self)
        let answer = try await translatingSandboxErrors {
            try await agent.rebase(RebaseRequest(onto: head, landed: landed))
        }
        guard answer.conflicts.isEmpty else {
            // Nothing has changed there. After any other failure nobody knows, and the commit may be needed.
            try await git.change(target, "let the commit go") { try await $0.removeRef(session.id.landingRef) }
            let what = answer.subject.map { "the commit \"\($0)\" does not" } ?? "changes that are not committed do not"
            throw ServerError(
                "\(what) fit on the workspace's newest commit:",
                answer.conflicts.map { ($0.path, $0.reason) }
            )
        }
        try await git.change(target, "keep the commit") { repository in
            try await operation(payload).keep([session.id.keepRef: head], in: repository)
            try await repository.removeRef(session.id.landingRef)
        }
        return head
    }
}

extension JobQueue {
    func enqueue(_ handler: RebaseSessionJob.Type, _ session: Session, in transaction: Transaction) throws {
        let payload = RebaseSessionJob.Payload(
            projectId: session.projectID,
            sessionId: session.id,
            workspaceId: session.workspaceID
        )
        try enqueue(handler, payload, project: session.projectID, resource: .commit(session.id), in: transaction)
    }
}
