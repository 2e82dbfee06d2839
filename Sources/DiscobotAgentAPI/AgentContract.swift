// SPDX-License-Identifier: Apache-2.0

/// `GET /health`: `healthy` says that it answers, `connected` that the working copy is ready and chat is possible.
package struct AgentHealth: Sendable, Codable, Equatable {
    package let healthy: Bool
    package let connected: Bool
    /// Why the working copy could not be prepared.
    package let error: String?

    package init(healthy: Bool, connected: Bool, error: String? = nil) {
        self.healthy = healthy
        self.connected = connected
        self.error = error
    }
}

/// `GET /user`
package struct AgentUser: Sendable, Codable, Equatable {
    package let username: String
    package let uid: Int
    package let gid: Int

    package init(username: String, uid: Int, gid: Int) {
        self.username = username
        self.uid = uid
        self.gid = gid
    }
}

/// `GET /models?agentType=`
package struct ModelsResponse: Sendable, Codable, Equatable {
    package let models: [AgentModel]

    package init(models: [AgentModel]) {
        self.models = models
    }
}

package struct AgentModel: Sendable, Codable, Equatable {
    package let id: String
    package let displayName: String
    package let provider: String
    package let reasoning: Bool

    package init(id: String, displayName: String, provider: String, reasoning: Bool) {
        self.id = id
        self.displayName = displayName
        self.provider = provider
        self.reasoning = reasoning
    }

    private enum CodingKeys: String, CodingKey {
        case id, provider, reasoning
        case displayName = "display_name"
    }
}

/// One value of the `X-Discobot-Credentials` header, which is a JSON list of them.
package struct CredentialVariable: Sendable, Codable, Equatable {
    package let envVar: String
    package let value: String

    package init(envVar: String, value: String) {
        self.envVar = envVar
        self.value = value
    }
}

/// The variables by which a sandbox tells the runtime inside what to do.
package enum AgentVariable: String, Sendable {
    case sessionID = "SESSION_ID"
    case projectID = "DISCOBOT_PROJECT_ID"
    /// Salt and hash of the secret that callers must know; see `AgentSecret`.
    case secret = "DISCOBOT_SECRET"
    /// Where the workspace's repository is mounted, read-only.
    case workspacePath = "WORKSPACE_PATH"
    /// Where the repository came from: a URL or a path on the host, for the working copy's `origin`.
    case workspaceSource = "WORKSPACE_SOURCE"
    /// The commit that the working copy starts at.
    case workspaceCommit = "WORKSPACE_COMMIT"
    /// The data volume: working copy, home and journal.
    case dataDirectory = "DISCOBOT_DATA_DIR"
    /// What the sandboxes of a project share.
    case cacheDirectory = "DISCOBOT_CACHE_DIR"
    /// A unix socket to serve on.
    case socket = "DISCOBOT_SOCKET"
    /// A TCP port to serve on.
    case port = "PORT"
    /// After how many seconds a stream with nothing to say says that; callers take 45 silent ones for a dead agent.
    case keepAlive = "DISCOBOT_KEEP_ALIVE"
}

/// Headers of requests to the agent.
package enum AgentHeader {
    package static let credentials = "X-Discobot-Credentials"
    package static let gitUserName = "X-Discobot-Git-User-Name"
    package static let gitUserEmail = "X-Discobot-Git-User-Email"
}
