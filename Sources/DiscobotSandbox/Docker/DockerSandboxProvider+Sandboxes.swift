// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel
import FoundationEssentials
import Glibc

extension DockerSandboxProvider {
    /// How long the runtime may take to end in order.
    private static let patience = 5

    package func start(_ id: ID<Session>) async throws {
        guard let session = files.session(id) else { throw Self.unknown }
        try await translating {
            try await queue.run(id) {
                defer { beginnings.end(id) }
                guard let container = try await container(of: id) else { throw Self.unknown }
                if container.isRunning { return }
                if container.isPaused { return try await client.unpauseContainer(container.id) }
                try await session.agentSocket.remove()
                let engine = try await client.info()
                try prepare(session, DockerUsers(of: engine))
                let interface = try await interface(of: container)
                await firewall.close(to: interface, isPodman: engine.isPodman)
                try await start(container)
                // Podman makes the interface of a network only when something runs in it.
                await firewall.close(to: interface, isPodman: engine.isPodman)
            }
        }
        feed.publish(id)
    }

    /// What only some containers at a time go through. No session has this for its id.
    private static let starts: ID<Session> = "starts/"

    private func start(_ container: DockerContainer) async throws {
        // More at once would take each other's processors, and none be ready before all are.
        let limit = try await 2 * client.info().processors
        do {
            try await queue.run(Self.starts, atMost: limit) { try await client.startContainer(container.id) }
        } catch let error as DockerError where error.isRefusal {
            // One that has run and cannot again is made anew by the next attempt.
            if container.hasEnded { try? await client.removeContainer(container.id) }
            throw SandboxError(.startFailed, "the sandbox could not be started: \(error.message)")
        }
    }

    package func stop(_ id: ID<Session>) async throws {
        guard files.session(id) != nil else { throw Self.unknown }
        try await translating {
            try await queue.run(id) {
                beginnings.end(id)
                guard let container = try await container(of: id) else { throw Self.unknown }
                try await stop(container, id)
            }
        }
        feed.publish(id)
    }

    package func remove(_ id: ID<Session>, keepingData: Bool) async throws {
        guard let session = files.session(id), try server.knownID(files) != nil else { return }
        let isKnown = PrivateFile.exists(session.directory)
        do {
            try await queue.run(id) { try await remove(session, id, keepingData: keepingData) }
        } catch let error as DockerError {
            // Sessions of other providers must not wait for an engine that has nothing of them.
            if isKnown || error.code != .unreachable { throw error.sandboxError }
        }
        feed.publish(id)
    }

    func remove(_ session: LocalSessionFiles, _ id: ID<Session>, keepingData: Bool) async throws {
        beginnings.end(id)
        async let found = dataVolume(of: id)
        let ended = try await end(id)
        let volume = try await found
        let project = ended ?? volume?.labels?[DockerLabel.project].map { ID(rawValue: $0) }
        if let project { try await removeNetwork(of: project) }
        try await session.agentSocket.remove()
        guard !keepingData else { return }
        if let volume { try await remove(volume, of: id) }
        // Last: as long as it is there, the engine may have something of the session.
        try await PrivateFile.removeTree(session.directory)
    }

    /// Podman may still be at a container whose removal it has told.
    private func remove(_ volume: DockerVolume, of id: ID<Session>) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                return try await client.removeVolume(volume.name)
            } catch let error as DockerError where error.isConflict && ContinuousClock.now < deadline {
                try await end(id)
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    package func sandbox(of id: ID<Session>) async throws -> Sandbox? {
        guard let session = files.session(id) else { return nil }
        return try await translating {
            guard let container = try await container(of: id) else { return nil }
            let wasAsked = PrivateFile.exists(session.stopping)
            var failure: String?
            if container.status(wasAsked: wasAsked) == .failed {
                // What it printed helps, and is not worth failing for.
                failure = container.failure(log: (try? await client.logs(container.id, lines: 5)) ?? "")
            }
            return container.sandbox(of: id, wasAsked: wasAsked, failure: failure)
        }
    }

    package func sandboxes() async throws -> [Sandbox] {
        let ids = try await translating { try await sessionIDs() }
        var sandboxes: [Sandbox] = []
        for id in ids {
            if let sandbox = try await sandbox(of: id) { sandboxes.append(sandbox) }
        }
        return sandboxes
    }

    package func changes() -> AsyncStream<SandboxChange> {
        feed.changes {
            (try? await sessionIDs()) ?? []
        } look: { id in
            try await sandbox(of: id)
        }
    }

    package func endpoint(of id: ID<Session>) async throws -> AgentEndpoint {
        guard let session = files.session(id) else { throw Self.unknown }
        guard let container = try await translating({ try await container(of: id) }) else { throw Self.unknown }
        guard container.isRunning else { throw SandboxError(.notRunning, "the sandbox does not run") }
        if let port = container.publishedPort { return .tcp(host: "127.0.0.1", port: port) }
        return .sandboxSocket(session.agentSocket)
    }

    package func caches(of project: ID<Project>) async throws -> [CacheVolume]? {
        guard configuration.isCacheEnabled else { return nil }
        guard let server = try server.knownID(files) else { return [] }
        return try await translating { try await cacheVolumes(of: project, server) }.map { volume in
            CacheVolume(
                name: volume.name,
                driver: volume.driver,
                mountpoint: volume.mountpoint,
                createdAt: volume.createdAt.flatMap { Timestamp(rfc3339: $0) },
                labels: volume.labels ?? [:]
            )
        }
    }

    package func removeCache(of project: ID<Project>) async throws {
        guard let server = try server.knownID(files) else { return }
        try await translating {
            let volumes = try await cacheVolumes(of: project, server)
            if !volumes.isEmpty { try await removeEnded(in: project, server) }
            for volume in volumes {
                do {
                    try await client.removeVolume(volume.name)
                } catch let error as DockerError where error.isConflict {
                    throw Self.inUse
                }
            }
            try await removeNetwork(of: project)
        }
    }

    /// Engines keep a volume for a container that has ended or never began, of which sessions need nothing but the data.
    /// Throws `inUse` when another one is there.
    private func removeEnded(in project: ID<Project>, _ server: String) async throws {
        let labels = [DockerLabel.of(server), DockerLabel.of(project)]
        let containers = try await client.containers(labels: labels)
        let found = containers.map { (ID<Session>(rawValue: $0.labels?[DockerLabel.session] ?? ""), $0.status) }
        guard found.allSatisfy({ isOver($0, $1) }) else { throw Self.inUse }
        for (id, _) in found {
            try await queue.run(id) {
                // It may have become another one meanwhile.
                guard let container = try await container(of: id), isOver(id, container.state.status) else { return }
                try await client.removeContainer(container.id)
            }
            feed.publish(id)
        }
    }

    /// Whether nobody uses a container or is about to.
    private func isOver(_ id: ID<Session>, _ status: String) -> Bool {
        ["exited", "dead", "created"].contains(status) && !beginnings.contains(id)
    }

    private static var inUse: SandboxError {
        SandboxError(.inUse, "sandboxes of the project use the cache; stop or remove their sessions first")
    }

    static var unknown: SandboxError { SandboxError(.notFound, "the session has no sandbox") }

    private func sessionIDs() async throws -> [ID<Session>] {
        guard let server = try server.knownID(files) else { return [] }
        let containers = try await client.containers(labels: [DockerLabel.of(server)])
        return containers.compactMap { $0.labels?[DockerLabel.session].map { ID(rawValue: $0) } }
    }

    /// Nil also for a container that another server made.
    func container(of id: ID<Session>) async throws -> DockerContainer? {
        guard let server = try server.knownID(files) else { return nil }
        let container = try await client.container(DockerName.container(id))
        return container?.label(DockerLabel.server) == server ? container : nil
    }

    /// Nil also for one that another server made.
    private func dataVolume(of id: ID<Session>) async throws -> DockerVolume? {
        let server = try server.id(files)
        let volume = try await client.volume(DockerName.data(id))
        return volume?.labels?[DockerLabel.server] == server ? volume : nil
    }

    private func stop(_ container: DockerContainer, _ id: ID<Session>) async throws {
        guard container.isAlive, let session = files.session(id) else { return }
        try PrivateFile.makeDirectory(session.directory)
        try PrivateFile.write("", to: session.stopping)
        // Goes on when the caller gives up: whoever was asked to end gets the time that takes.
        try await Task {
            do {
                // Podman stops none that is frozen. If it cannot go on, stopping says so.
                if container.isPaused { try? await client.unpauseContainer(container.id) }
                try await client.stopContainer(container.id, seconds: Self.patience)
            } catch {
                // Nobody has asked for the end that one which runs on may have later.
                if (try? await client.container(container.id))?.isAlive == true { unlink(session.stopping) }
                throw error
            }
        }.value
        try await session.agentSocket.clear()
    }

    /// Ends and removes a session's container, but not its data. Returns the project that it was of; nil where there is no
    /// container, or another server's.
    @discardableResult
    private func end(_ id: ID<Session>) async throws -> ID<Project>? {
        guard let container = try await container(of: id) else { return nil }
        try await end(container, id)
        return container.label(DockerLabel.project).map { ID(rawValue: $0) }
    }

    func end(_ container: DockerContainer, _ id: ID<Session>) async throws {
        try await stop(container, id)
        try await client.removeContainer(container.id)
        try await removeOwnNetwork(of: container)
    }

    private func removeNetwork(of project: ID<Project>) async throws {
        try await removeNetwork(DockerName.network(project, server: try server.id(files)), of: project)
    }

    /// Removes the network that a sandbox has for itself, if it has one.
    private func removeOwnNetwork(of container: DockerContainer) async throws {
        if let network = try await ownNetwork(of: container) { try await client.removeNetwork(network) }
    }

    /// The interface of the network that a sandbox may be in, on whatever machine that is.
    private func interface(of container: DockerContainer) async throws -> String {
        if let network = try await ownNetwork(of: container) { return DockerName.bridge(network) }
        let project = ID<Project>(rawValue: container.label(DockerLabel.project) ?? "")
        return DockerName.bridge(DockerName.network(project, server: try server.id(files)))
    }

    private func ownNetwork(of container: DockerContainer) async throws -> String? {
        guard let session = container.label(DockerLabel.session), let project = container.label(DockerLabel.project),
            try await client.info().isPodman
        else { return nil }
        let server = try server.id(files)
        return DockerName.network(ID(rawValue: session), of: ID(rawValue: project), server: server)
    }

    /// Removes the network of a project when no sandbox of the project is left.
    ///
    /// - Parameter session: whose sandbox alone it was made for; nil for all of the project's.
    func removeNetwork(_ network: String, of project: ID<Project>, session: ID<Session>? = nil) async throws {
        let labels =
            [DockerLabel.of(try server.id(files)), DockerLabel.of(project)]
            + (session.map { ["\(DockerLabel.session)=\($0)"] } ?? [])
        try await networks.run(ID(rawValue: project.rawValue)) {
            guard try await client.containers(labels: labels).isEmpty else { return }
            try await client.removeNetwork(network)
        }
    }
}
