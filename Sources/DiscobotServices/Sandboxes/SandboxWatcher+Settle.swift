// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotStore
import Logging

/// What is to be put right when the server starts, and whenever an engine begins to answer.
extension SandboxWatcher {
    func keepSettled(_ provider: any SandboxProvider) async {
        // Before anything is asked, so that an engine that comes meanwhile is not missed.
        let presence = (provider as? any SandboxEngine)?.presence()
        await settle(provider)
        guard let presence else { return }
        var isAbsent = false
        for await state in presence {
            switch state {
            case .answers:
                if isAbsent {
                    logger.notice("the sandboxes' engine answers", metadata: ["provider": "\(provider.name)"])
                }
                isAbsent = false
                await settle(provider)
            case .absent(let error):
                isAbsent = true
                logger.warning(
                    "the sandboxes' engine does not answer; waiting for it",
                    metadata: ["provider": "\(provider.name)", "error": "\(error)"]
                )
            }
        }
    }

    /// Goes on until it was possible once. An engine that is absent tells when it comes.
    private func settle(_ provider: any SandboxProvider) async {
        var backOff = BackOff(first: Self.pause, longest: .seconds(5 * 60))
        while !Task.isCancelled {
            do {
                try await releaseIdle(provider)
                try await resumeRemovals(provider)
                try await reconcile(provider)
                return
            } catch let error as SandboxError where error.code == .unavailable && provider is any SandboxEngine {
                return
            } catch {
                logger.error(
                    "comparing sandboxes with sessions failed",
                    metadata: ["provider": "\(provider.name)", "error": "\(error)"]
                )
            }
            try? await Task.sleep(for: backOff.next())
        }
    }

    /// Sessions that count on a turn that nobody runs.
    private func releaseIdle(_ provider: any SandboxProvider) async throws {
        for session in try await sessions(of: provider) where session.status == .running {
            try await store.write { try $0.releaseIdle(session.id) }
        }
    }

    /// Sessions whose removal was given up, as while their engine was away. One that never had a sandbox is anybody's.
    private func resumeRemovals(_ provider: any SandboxProvider) async throws {
        try await store.write { transaction in
            for session in try transaction.removingSessions()
            where session.sandboxProvider == provider.name || session.sandboxProvider == nil {
                guard try !transaction.hasActiveJob(DeleteSessionJob.kind, on: .session(session.id)) else { continue }
                try jobs.enqueue(DeleteSessionJob.self, session, in: transaction)
            }
        }
    }

    /// Sessions that count on a sandbox which does not run, and what is there of sessions and projects that are gone.
    private func reconcile(_ provider: any SandboxProvider) async throws {
        for session in try await sessions(of: provider) { try await compare(session, with: provider) }
        let owners = SandboxOwners { id in
            try await store.read { try $0.session(id) } != nil
        } hasProject: { id in
            try await store.read { try $0.project(id) } != nil
        }
        try await (provider as? any SandboxEngine)?.removeLeftovers(owners)
    }

    private func sessions(of provider: any SandboxProvider) async throws -> [Session] {
        try await store.read { try $0.sessionsWithSandboxes() }.filter { $0.sandboxProvider == provider.name }
    }
}

extension Transaction {
    /// A session whose turns are all over is free, whatever the server that ran them could still record.
    fileprivate func releaseIdle(_ id: ID<Session>) throws {
        guard var session = try session(id), session.status == .running, try openTurns(of: id).isEmpty else { return }
        session.become(.ready)
        try update(session)
        try append(.sessionUpdated(session), to: session.projectID)
    }
}
