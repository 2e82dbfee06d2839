// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore

extension Transaction {
    /// Stores a session and starts to prepare it; throws `conflict` while an earlier one with its id is being removed, and
    /// `invalidArgument` for an id that none may have, and for a
    /// workspace or an agent that the project does not have.
    func createSession(
        _ id: ID<Session>,
        named name: String,
        workspace workspaceID: ID<Workspace>,
        agent agentID: ID<Agent>?,
        in project: ID<Project>,
        jobs: JobQueue
    ) throws -> Session {
        try id.checkAsSession()
        guard try !hasActiveJob(DeleteSessionJob.kind, on: .session(id)) else {
            throw ServerError.conflict("id: the session that had this id is still being removed")
        }
        guard let workspace = try workspace(workspaceID, of: project) else {
            throw ServerError.invalidArgument("workspace not found: \(workspaceID)")
        }
        if let agentID, try agent(agentID, of: project) == nil {
            throw ServerError.invalidArgument("agent not found: \(agentID)")
        }
        let now = Timestamp.now
        var session = Session(
            id: id,
            projectID: project,
            workspaceID: workspace.id,
            agentID: agentID,
            name: name,
            status: .initializing,
            createdAt: now,
            updatedAt: now
        )
        session.become(.initializing, at: now)
        try insert(session)
        try append(.sessionUpdated(session), to: project)
        try jobs.enqueue(InitializeSessionJob.self, session, in: self)
        return session
    }
}

extension ID<Session> {
    private static let maximumLength = 65

    /// The names of directories and containers are made of it. Throws `invalidArgument`.
    func checkAsSession() throws {
        guard !rawValue.isEmpty else { throw ServerError.invalidArgument("session ID is required") }
        guard rawValue.utf8.count <= Self.maximumLength else {
            throw ServerError.invalidArgument("session ID exceeds maximum length of \(Self.maximumLength) characters")
        }
        guard rawValue.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || Character(Unicode.Scalar($0)).isLetterOrDigit })
        else { throw ServerError.invalidArgument("session ID must contain only alphanumeric characters and hyphens") }
    }
}

extension Character {
    fileprivate var isLetterOrDigit: Bool { isASCII && (isLetter || isNumber) }
}
