// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// A way to run sandboxes. A session has at most one; every operation may be repeated and may follow a crash.
package protocol SandboxProvider: Sendable {
    /// How workspaces name it.
    var name: String { get }
    /// Finds out whether it can be used now; answers within a few seconds.
    func state() async -> ProviderState

    /// Makes the sandbox of a session, without starting it. An earlier one is replaced, unless it has ended and is as it
    /// would be made; its data is kept. Throws `SandboxError`.
    func create(_ specification: SandboxSpecification) async throws
    /// Starts a sandbox; returns when its runtime has begun, which does not mean that it answers already. Nothing
    /// happens to one that runs. Throws `SandboxError`: `notFound`, `startFailed`.
    func start(_ id: ID<Session>) async throws
    /// Ends everything that runs in a sandbox, its data stays; nothing happens to one that does not run. Throws
    /// `SandboxError`: `notFound`.
    func stop(_ id: ID<Session>) async throws
    /// Removes a sandbox, whether it runs or not, and its data unless that is kept; an unknown one is removed already.
    /// Throws `SandboxError`.
    func remove(_ id: ID<Session>, keepingData: Bool) async throws

    /// Nil when the session has none.
    func sandbox(of id: ID<Session>) async throws -> Sandbox?
    /// All sandboxes that this server, or an earlier one with the same data, has made.
    func sandboxes() async throws -> [Sandbox]
    /// The present state of all sandboxes, then each change; ends when the task that reads is cancelled. What a slow
    /// reader has missed is the older states of a sandbox, never the newest.
    func changes() -> AsyncStream<SandboxChange>
    /// Where the agent API of a running sandbox answers. Throws `SandboxError`: `notFound`, `notRunning`.
    func endpoint(of id: ID<Session>) async throws -> AgentEndpoint
    /// What the sandboxes of a project share; nil when the provider has no such thing. Throws `SandboxError`:
    /// `unavailable` while nobody can tell.
    func caches(of project: ID<Project>) async throws -> [CacheVolume]?
    /// Removes what the sandboxes of a project share; they get it anew when they start. Throws `SandboxError`: `inUse`
    /// while that is not possible for sandboxes that have it.
    func removeCache(of project: ID<Project>) async throws
}

/// What a sandbox is made of.
package struct SandboxSpecification: Sendable, Equatable, Codable {
    package typealias Network = Workspace.Network

    /// What a sandbox may use; nil is no limit.
    package struct Limits: Sendable, Equatable, Codable {
        package var memoryMegabytes: Int?
        package var processes: Int?
        package var fileMegabytes: Int?
        /// How many processors' time.
        package var cpus: Double?
        /// Size of `/dev/shm`, `/tmp` and `/var/tmp` each; nil is the provider's own choice.
        package var sharedMegabytes: Int?
        /// What may be written to disk, in data and root each.
        package var diskMegabytes: Int?

        package init(memoryMegabytes: Int? = nil, processes: Int? = nil, fileMegabytes: Int? = nil) {
            self.memoryMegabytes = memoryMegabytes
            self.processes = processes
            self.fileMegabytes = fileMegabytes
        }

        /// With what a workspace says in place of these.
        package func overridden(by limits: Workspace.Limits) -> Limits {
            var result = self
            func set<Value: Numeric>(_ field: WritableKeyPath<Limits, Value?>, _ value: Value?) {
                if let value { result[keyPath: field] = value == .zero ? nil : value }
            }
            set(\.memoryMegabytes, limits.memoryMb)
            set(\.processes, limits.processes)
            set(\.fileMegabytes, limits.fileMb)
            set(\.cpus, limits.cpus)
            set(\.sharedMegabytes, limits.shmMb)
            set(\.diskMegabytes, limits.diskMb)
            return result
        }
    }

    package let sessionID: ID<Session>
    package let projectID: ID<Project>
    package let workspaceID: ID<Workspace>
    /// The directory of the repository, which is mounted read-only at `/.workspace`.
    package let workspacePath: String
    /// Where the repository came from.
    package let workspaceSource: String
    /// Nil for an empty repository.
    package let workspaceCommit: String?
    /// What the sandbox may know of the secret: salt and hash.
    package let secretVerifier: String
    package var network: Network
    package var limits: Limits

    package init(
        sessionID: ID<Session>,
        projectID: ID<Project>,
        workspaceID: ID<Workspace>,
        workspacePath: String,
        workspaceSource: String,
        workspaceCommit: String?,
        secretVerifier: String,
        network: Network = .internet,
        limits: Limits = Limits()
    ) {
        self.sessionID = sessionID
        self.projectID = projectID
        self.workspaceID = workspaceID
        self.workspacePath = workspacePath
        self.workspaceSource = workspaceSource
        self.workspaceCommit = workspaceCommit
        self.secretVerifier = secretVerifier
        self.network = network
        self.limits = limits
    }
}

/// A sandbox as it is now.
package struct Sandbox: Sendable, Equatable {
    package enum Status: String, Sendable {
        /// Made, and never started.
        case created
        case running, stopped, failed
    }

    package let sessionID: ID<Session>
    package let projectID: ID<Project>
    package let status: Status
    /// The image it runs, or the name of the provider where there are no images.
    package let image: String
    package let createdAt: Timestamp
    package let startedAt: Timestamp?
    package let stoppedAt: Timestamp?
    /// Why it failed.
    package let error: String?
    /// How one that is stopped has ended without being told to by this server, such as "was killed"; nil where nobody knows.
    package let end: String?

    package init(
        sessionID: ID<Session>,
        projectID: ID<Project>,
        status: Status,
        image: String,
        createdAt: Timestamp,
        startedAt: Timestamp? = nil,
        stoppedAt: Timestamp? = nil,
        error: String? = nil,
        end: String? = nil
    ) {
        self.sessionID = sessionID
        self.projectID = projectID
        self.status = status
        self.image = image
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.stoppedAt = stoppedAt
        self.error = error
        self.end = end
    }
}

/// A new state of a session's sandbox; nil when it has been removed.
package struct SandboxChange: Sendable, Equatable {
    package let sessionID: ID<Session>
    package let sandbox: Sandbox?

    package init(sessionID: ID<Session>, sandbox: Sandbox?) {
        self.sessionID = sessionID
        self.sandbox = sandbox
    }
}

/// Where an agent API answers.
package enum AgentEndpoint: Sendable, Equatable {
    case unixSocket(path: String)
    /// Is taken from the sandbox before each connection.
    case sandboxSocket(SandboxSocket)
    case tcp(host: String, port: Int)
}

/// Why a provider could not do what it was asked; the message may be shown to users.
package struct SandboxError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case notFound, notRunning, startFailed, unavailable, timedOut, invalidImage, resourceLimit, inUse, failed
    }

    package let code: Code
    package let message: String
    /// What was behind it, for the log.
    package let cause: String?

    package init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        "\(code.rawValue): \(message)" + (cause.map { " (\($0))" } ?? "")
    }
}
