// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import DiscobotSandbox
package import DiscobotStore
package import Logging
import ServiceLifecycle

/// Keeps sessions true to their sandboxes: what ends by itself, or from outside, shows in the session, and a sandbox
/// whose session is gone is removed.
package struct SandboxWatcher: Service, CustomStringConvertible {
    /// Before asking a provider again that has stopped telling.
    static let pause: Duration = .seconds(5)

    let store: Store
    let jobs: JobQueue
    private let providers: SandboxProviders
    let logger: Logger

    package init(store: Store, jobs: JobQueue, providers: SandboxProviders, logger: Logger) {
        self.store = store
        self.jobs = jobs
        self.providers = providers
        self.logger = logger
    }

    package var description: String { "sandbox watcher" }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                for provider in providers.all {
                    if let engine = provider as? any SandboxEngine { group.addTask { await engine.run() } }
                    group.addTask { await keepSettled(provider) }
                    group.addTask { await keepReplacingOutdated(provider) }
                    group.addTask { await watch(provider) }
                }
            }
        }
    }

    private func watch(_ provider: any SandboxProvider) async {
        while !Task.isCancelled {
            for await change in provider.changes() {
                await logged {
                    do {
                        try await apply(change, of: provider)
                    } catch let error as SandboxError where error.code == .timedOut {
                        // Nobody would tell again what a busy engine could not.
                        try await apply(change, of: provider)
                    }
                }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    private func apply(_ change: SandboxChange, of provider: any SandboxProvider) async throws {
        guard let session = try await store.read({ try $0.session(change.sessionID) }) else {
            if change.sandbox != nil { try await provider.remove(change.sessionID, keepingData: false) }
            return
        }
        guard session.sandboxProvider == provider.name else { return }
        try await compare(session, with: provider)
        if change.sandbox?.status == .running { try await stopUnused(session) }
    }

    /// Nobody else would stop a sandbox that runs although its session does not.
    private func stopUnused(_ session: Session) async throws {
        guard session.status == .stopped || session.status == .error else { return }
        try await store.write { transaction in
            guard try !transaction.hasActiveJob(on: .session(session.id)) else { return }
            try jobs.enqueue(StopSessionJob.self, session, in: transaction)
        }
    }

    /// Looks at the sandbox as it is now: what was told may be older than what a job has done since.
    func compare(_ session: Session, with provider: any SandboxProvider) async throws {
        guard session.status == .ready || session.status == .running else { return }
        let sandbox = try await provider.sandbox(of: session.id)
        guard sandbox?.status != .running else { return }
        try await store.write { transaction in
            guard var current = try transaction.session(session.id), current.updatedAt == session.updatedAt,
                current.status == session.status
            else { return }
            let failure = sandbox?.status == .failed ? sandbox?.error ?? "unknown reason" : nil
            current.become(failure == nil ? .stopped : .error)
            current.errorMessage = failure.map { "Sandbox failed: \($0)" }
            try transaction.update(current)
            try transaction.append(.sessionUpdated(current), to: current.projectID)
        }
    }

    private func logged(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            logger.error("comparing sandboxes with sessions failed", metadata: ["error": "\(error)"])
        }
    }
}
