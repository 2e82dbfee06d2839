// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import DiscobotModel
import DiscobotStore

// Commits of sessions that a server has begun to land and not seen the end of.
extension GitService {
    /// Finishes or undoes them, so that nobody builds on half of one. Throws `unavailable`; then they stay written down.
    func settleLandings(in repository: GitRepository) async throws {
        for session in try await store.read({ try $0.landingSessions(at: repository.directory) }) {
            guard let landing = session.landing else { continue }
            try await settle(landing, of: session.id, in: repository)
        }
    }

    /// For a session that is being removed: settles its landing, and lets go what it keeps in the repository.
    func release(_ session: ID<Session>, _ landing: CommitLanding?, in directory: String) async throws {
        let repository: GitRepository
        do {
            repository = try await GitRepository.open(directory)
        } catch let error as GitError where landing == nil || error.code == .notARepository {
            // One that is gone keeps nothing.
            return
        }
        try await changes.run(repository.directory) {
            if let landing { try await settle(landing, of: session, in: repository) }
            // In one that cannot be written a commit stays.
            for ref in session.refs { try? await repository.removeRef(ref) }
        }
    }

    private func settle(_ landing: CommitLanding, of id: ID<Session>, in repository: GitRepository) async throws {
        let hasLanded = try await translatingUnsettled {
            try await withoutCancellation { try await GitLanding(repository).settle(landing.step) }
        }
        try await store.write { transaction in
            // It may be gone.
            guard var session = try transaction.session(id), session.landing == landing else { return }
            session.landing = nil
            if hasLanded { session.land(landing) }
            session.updatedAt = .now
            try transaction.update(session)
        }
    }
}

/// Runs `body`; what it leaves half done in a workspace becomes an error that is worth another try.
func translatingUnsettled<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as GitLanding.Unsettled {
        throw ServerError(.unavailable, "\(error)", cause: error)
    }
}

/// Goes on to its end when the caller is to stop: what changes a workspace is not left half done, and it is soon over.
func withoutCancellation<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try Task.checkCancellation()
    // Waited for.
    return try await Task { try await body() }.value
}

extension CommitLanding {
    var step: GitLanding.Step { GitLanding.Step(from: from, to: to) }
}
