// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotStore
import Logging

/// Sandboxes of an image that its name no longer means, as after an update of server and image.
extension SandboxWatcher {
    /// When the server starts, and whenever an engine comes back. Not all the time: whoever builds an image anew does not
    /// expect that at once.
    func keepReplacingOutdated(_ provider: any SandboxProvider) async {
        guard let source = provider as? any SandboxImageSource else { return }
        let presence = (provider as? any SandboxEngine)?.presence()
        var isDone = await replaceOutdated(provider, source)
        guard let presence else { return }
        for await state in presence {
            // An engine that has been away may have kept what ran.
            if state != .answers { isDone = false }
            if state == .answers, !isDone { isDone = await replaceOutdated(provider, source) }
        }
    }

    /// Stops those that are there now once they have nothing to do; their next use makes them anew, with their data. False
    /// when nobody can tell which they are.
    private func replaceOutdated(_ provider: any SandboxProvider, _ source: any SandboxImageSource) async -> Bool {
        var waiting: Set<ID<Session>>?
        while !Task.isCancelled {
            do {
                let outdated = Set(try await source.outdatedSandboxes())
                waiting = waiting?.intersection(outdated) ?? outdated
                for id in waiting ?? [] where try await stopOutdated(id, provider) { waiting?.remove(id) }
            } catch let error as SandboxError where error.code == .unavailable {
                return false
            } catch {
                logger.error("looking for outdated sandboxes failed", metadata: ["error": "\(error)"])
            }
            if waiting?.isEmpty == true { break }
            try? await Task.sleep(for: Self.pause)
        }
        return true
    }

    /// False when it is to be tried again.
    private func stopOutdated(_ id: ID<Session>, _ provider: any SandboxProvider) async throws -> Bool {
        try await store.write { transaction in
            guard let session = try transaction.session(id), session.sandboxProvider == provider.name,
                session.status == .ready || session.status == .running
            else { return true }
            guard session.status == .ready, try transaction.openTurns(of: id).isEmpty,
                try !transaction.hasActiveJob(on: .session(id))
            else { return false }
            try jobs.enqueue(StopSessionJob.self, session, in: transaction)
            logger.notice(
                "a sandbox of an earlier image is stopped; its next use makes it anew",
                metadata: ["session": "\(id)", "provider": "\(provider.name)"]
            )
            return true
        }
    }
}
