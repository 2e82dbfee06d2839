// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What is left on the engine of sessions and projects that were removed while nobody answered, or by a server that died.
extension DockerSandboxProvider: SandboxEngine {
    package func presence() -> AsyncStream<SandboxEnginePresence> { watch.presence.stream() }

    package func run() async {
        if let server = try? server.knownID(files) { watch.begin(server: server) }
        await withDiscardingTaskGroup { group in
            group.addTask { await watch.run() }
            group.addTask {
                for await state in presence() where state == .answers { await renewFirewall() }
            }
        }
    }

    /// A machine that has started again has lost the rules, and keeps the networks.
    private func renewFirewall() async {
        guard let server = try? server.knownID(files) else { return }
        // If that fails, the next sandbox that starts sets them.
        await firewall.forget()
        // An engine that has just come may be too busy to tell.
        for _ in 0..<5 {
            if let networks = try? await client.networks(labels: [DockerLabel.of(server)]),
                let engine = try? await client.info()
            {
                for network in networks {
                    await firewall.close(to: DockerName.bridge(network.name), isPodman: engine.isPodman)
                }
                return
            }
            guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
        }
    }

    package func removeLeftovers(_ owners: SandboxOwners) async throws {
        guard let server = try server.knownID(files) else { return }
        try await translating {
            let containers = try await client.containers(labels: [DockerLabel.of(server)])
            let volumes = try await client.volumes(labels: [DockerLabel.of(server)])
            var attempts = DockerAttempts()
            await attempts.run { try await removeLook() }
            await attempts.run { try await removePrepared() }
            let made = (containers.map(\.labels) + volumes.map(\.labels)).compactMap { $0?[DockerLabel.session] }
            for id in Set(made.map { ID<Session>(rawValue: $0) } + files.sessionIDs()) {
                await attempts.run { try await removeLeftovers(of: id, owners) }
            }
            for volume in volumes where volume.labels?[DockerLabel.session] == nil {
                await attempts.run { try await removeLeftover(volume, owners) }
            }
            for network in try await client.networks(labels: [DockerLabel.of(server)]) {
                await attempts.run { try await removeLeftover(network) }
            }
            try attempts.end()
        }
    }

    /// Nobody makes a sandbox meanwhile, so a session that is unknown here has none.
    private func removeLeftovers(of id: ID<Session>, _ owners: SandboxOwners) async throws {
        guard let session = files.session(id) else { return }
        let isRemoved = try await queue.run(id) {
            guard try await !owners.hasSession(id) else { return false }
            try await remove(session, id, keepingData: false)
            return true
        }
        if isRemoved { feed.publish(id) }
    }

    /// One in which no sandbox is left.
    private func removeLeftover(_ network: DockerNetwork) async throws {
        guard let project = network.labels?[DockerLabel.project] else { return }
        let session = network.labels?[DockerLabel.session].map { ID<Session>(rawValue: $0) }
        try await removeNetwork(network.id, of: ID(rawValue: project), session: session)
    }

    /// A project that is gone never comes again.
    private func removeLeftover(_ volume: DockerVolume, _ owners: SandboxOwners) async throws {
        guard volume.labels?[DockerLabel.type] == "cache", let project = volume.labels?[DockerLabel.project],
            try await !owners.hasProject(ID(rawValue: project))
        else { return }
        do {
            try await client.removeVolume(volume.name)
        } catch let error as DockerError where error.isConflict {
            // A session of the project is still to be removed.
        }
    }
}

/// Several things of which none keeps the others from being done.
struct DockerAttempts {
    private var failure: (any Error)?

    mutating func run(_ body: () async throws -> Void) async {
        do { try await body() } catch { failure = failure ?? error }
    }

    /// Throws the first failure.
    func end() throws {
        if let failure { throw failure }
    }
}
