// SPDX-License-Identifier: Apache-2.0

import CLinux
import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel
import FoundationEssentials
import Glibc
import Logging
import ServiceLifecycle
import Synchronization

/// The agent's own copy of the workspace: prepared once, while the runtime already answers.
final class WorkingCopy: Service, Sendable {
    private enum State {
        case preparing
        case ready
        case failed(String)
    }

    private let source: WorkspaceSource
    private let directories: DataDirectories
    private let git: AgentGit
    private let logger: Logger
    private let state = Mutex(State.preparing)
    private let identity = Mutex<[String: String]>([:])
    private let detaching = DetachLock()
    /// Ends when the working copy is there; for one who waits.
    let readiness: AsyncStream<Never>
    private let announcement: AsyncStream<Never>.Continuation
    /// Those who wait for the preparation to end or fail, by number.
    private let waiters = Mutex<(last: Int, all: [Int: AsyncStream<Never>.Continuation])>((0, [:]))

    init(_ source: WorkspaceSource, directories: DataDirectories, git: AgentGit, logger: Logger) {
        self.source = source
        self.directories = directories
        self.git = git
        self.logger = logger
        (readiness, announcement) = AsyncStream.makeStream(of: Never.self)
    }

    /// Prepares the working copy, again and again until that works: a mount may come late, a disk may get room.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            var wait = Duration.seconds(1)
            while !Task.isCancelled {
                do {
                    try await self.prepare()
                    self.become(.ready)
                    self.announcement.finish()
                    self.logger.info("the working copy is ready")
                    return await self.releaseCode()
                } catch is CancellationError {
                    return
                } catch {
                    self.logger.error("the working copy could not be prepared", metadata: ["error": "\(error)"])
                    self.become(.failed(Self.reason(error)))
                }
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(30))
            }
        }
        try? await gracefulShutdown()
    }

    /// Most of the code that has run so far is not needed again, once whoever has waited for the working copy is answered.
    private func releaseCode() async {
        try? await Task.sleep(for: .seconds(1))
        clinux_release_code()
    }

    var health: AgentHealth {
        let state = state.withLock { $0 }
        switch state {
        case .preparing: return AgentHealth(healthy: true, connected: false)
        case .failed(let message): return AgentHealth(healthy: true, connected: false, error: message)
        case .ready:
            let problem = problem
            return AgentHealth(healthy: true, connected: problem == nil, error: problem)
        }
    }

    /// The health as soon as the preparation has ended or failed, after `limit` at the latest.
    func health(within limit: Duration) async -> AgentHealth {
        let (news, continuation) = AsyncStream.makeStream(of: Never.self)
        let number = waiters.withLock { waiters in
            waiters.last += 1
            waiters.all[waiters.last] = continuation
            return waiters.last
        }
        defer { waiters.withLock { _ = $0.all.removeValue(forKey: number) } }
        // It may have ended before.
        guard case .preparing = state.withLock({ $0 }) else { return health }
        await news.end(within: limit)
        return health
    }

    private func become(_ next: State) {
        state.withLock { $0 = next }
        for waiter in waiters.withLock({ $0.all.values.map(\.self) }) { waiter.finish() }
    }

    /// Throws `unavailable` as long as agents cannot work.
    func requireReady() throws {
        let health = health
        guard !health.connected else { return }
        throw ServerError(.unavailable, health.error ?? "the working copy is being prepared")
    }

    /// What helps is another thing in a sandbox than on the server.
    private static func reason(_ error: any Error) -> String {
        guard (error as? GitError)?.code == .notInstalled else { return "\(error)" }
        return "git was not found in the sandbox: name an image that has it in SANDBOX_IMAGE, or install it on this "
            + "machine for the provider local"
    }

    /// Copies the objects that the working copy shares with the workspace, which it then does not need any more.
    func detach() async throws {
        try requireReady()
        try await detaching.run {
            guard FileManager.default.fileExists(atPath: self.alternates) else { return }
            do {
                try await self.git.run(
                    ["repack", "-a", "-d", "-q"],
                    in: self.directories.workspace,
                    timeout: .seconds(550)
                )
            } catch let error as GitError {
                throw ServerError(.operationFailed, "the working copy could not be detached: \(error)", cause: error)
            }
            unlink(self.alternates)
            self.logger.info("the working copy is detached from the workspace")
        }
    }

    /// Makes the user's name known to git; a failure only means that commits have another author.
    func setIdentity(_ secrets: TurnSecrets) async {
        let wanted = ["user.name": secrets.gitUserName, "user.email": secrets.gitUserEmail].compactMapValues { $0 }
        guard identity.withLock({ $0 }) != wanted else { return }
        do {
            for (name, value) in wanted { try await git.configure(name, value) }
            identity.withLock { $0 = wanted }
        } catch {
            logger.warning("git's user could not be set", metadata: ["error": "\(error)"])
        }
    }

    private func prepare() async throws {
        try directories.create()
        try directories.removeLeftovers()
        let preparation = WorkingCopyPreparation(source: source, directory: directories.workspace, git: git)
        try preparation.removeStaging()
        if !FileManager.default.fileExists(atPath: directories.workspace) { try await preparation.run() }
        // A runtime may have been killed while it moved commits.
        try await git.workingRebase().settle()
        CacheLinks(directories).make(logger)
    }

    private var alternates: String { directories.workspace + "/.git/objects/info/alternates" }

    /// Why a working copy that was made before cannot be used.
    private var problem: String? {
        guard FileManager.default.fileExists(atPath: directories.workspace) else {
            return "the working copy is gone from the session's data"
        }
        guard let file = fopen(alternates, "re") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&buffer, 1, buffer.count, file)
        let paths = buffer.prefix(count).split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
        guard let missing = paths.first(where: { !FileManager.default.fileExists(atPath: $0) }) else { return nil }
        return "the workspace's repository has vanished: the working copy needs \(missing)"
    }
}

/// Runs one detachment at a time.
private actor DetachLock {
    private var current: Task<Void, any Error>?

    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        if let current { return try await current.value }
        // Goes on when the caller gives up: half of it would be lost work.
        let task = Task { try await body() }
        current = task
        defer { current = nil }
        try await task.value
    }
}
