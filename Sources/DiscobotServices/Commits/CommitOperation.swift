// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel
import DiscobotSandbox
import DiscobotStore

/// A session whose commits are under way, as the jobs see it. Nothing changes for one that is not any more.
struct CommitOperation: Sendable {
    let session: ID<Session>
    let project: ID<Project>
    let store: Store

    /// Nil when there is nothing to do (any more).
    func current() async throws -> Session? {
        try await store.read { try Self.current(session, project, $0) }
    }

    private static func current(
        _ id: ID<Session>,
        _ project: ID<Project>,
        _ transaction: Transaction
    ) throws -> Session? {
        guard let session = try transaction.session(id, of: project), session.status != .removing,
            session.commitStatus.isUnderWay
        else { return nil }
        return session
    }

    /// Changes the session, and tells of it. Throws `notFound` when nobody wants that any more.
    @discardableResult
    func change(_ edit: @escaping @Sendable (inout Session) -> Void) async throws -> Session {
        try await store.write { transaction in
            guard let changed = try change(in: transaction, edit) else { throw Self.notFound }
            return changed
        }
    }

    @discardableResult
    func change(in transaction: Transaction, _ edit: (inout Session) -> Void) throws -> Session? {
        guard var session = try Self.current(session, project, transaction) else { return nil }
        let before = session
        edit(&session)
        guard session != before else { return session }
        session.updatedAt = .now
        try transaction.update(session)
        if session.commitStatus != before.commitStatus || session.baseCommit != before.baseCommit {
            try transaction.append(.sessionUpdated(session), to: project)
        }
        return session
    }

    /// Has git keep commits by refs of the session, while nobody else changes the workspace: the removal of the session,
    /// which takes them away, is then over or yet to come. Throws `notFound` when nobody wants that any more.
    func keep(_ commits: [String: String], in repository: GitRepository) async throws {
        guard try await current() != nil else { throw Self.notFound }
        // A git that is killed leaves a lock on the ref, which nobody could remove then.
        try await withoutCancellation {
            for (ref, commit) in commits { try await repository.setRef(ref, to: commit) }
        }
    }

    func fail(_ reason: String, in transaction: Transaction) throws {
        try change(in: transaction) { session in
            session.commitStatus = .failed
            session.commitError = reason
        }
    }

    private static let notFound = ServerError.notFound("Session not found")
}

extension ServerError {
    /// At most so many files are named.
    private static let namedFiles = 100

    /// `conflict`, file by file.
    init(_ what: String, _ conflicts: [(path: String, reason: String)]) {
        var lines = conflicts.prefix(Self.namedFiles).map { "- \($0.path.prefix(500)): \($0.reason)" }
        if conflicts.count > lines.count { lines.append("- and \(conflicts.count - lines.count) more") }
        self.init(.conflict, ([what] + lines).joined(separator: "\n"))
    }

    /// Whether it says nothing about the commits, and the server tries again.
    var isOfServer: Bool { code == .internal || cause is DatabaseError || cause is GitLanding.Unsettled }
}
