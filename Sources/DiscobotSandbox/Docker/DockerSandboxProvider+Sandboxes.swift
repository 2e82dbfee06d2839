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
                guard let container = try await container(of: id) else { throw Self.unknown }
                if container.isRunning { return }
                if container.isPaused { return try await client.unpauseContainer(container.id) }
                try prepare(session, DockerUsers(of: try await client.info()))
                do {
                    try await client.startContainer(container.id)
                } catch let error as DockerError {
                    guard case .refused = error.code else { throw error }
                    throw SandboxError(.startFailed, "the sandbox could not be started: \(error.message)")
                }
            }
        }
        feed.publish(id)
    }

    package func stop(_ id: ID<Session>) async throws {
        guard files.session(id) != nil else { throw Self.unknown }
        try await translating {
            try await queue.run(id) {
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

    private func remove(_ session: LocalSessionFiles, _ id: ID<Session>, keepingData: Bool) async throws {
        try await end(id)
        try await PrivateFile.removeTree(session.runDirectory)
        guard !keepingData else { return }
        if try await isOurs(volume: DockerName.data(id)) { try await client.removeVolume(DockerName.data(id)) }
        // Last: as long as it is there, the engine may have something of the session.
        try await PrivateFile.removeTree(session.directory)
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
        if let server = try? server.knownID(files) { watch.begin(server: server) }
        return feed.changes {
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
        // The sandbox can write there, and must not lead the server to another socket.
        var status = stat()
        guard lstat(session.socket, &status) != 0 || status.st_mode & S_IFMT == S_IFSOCK else {
            throw SandboxError(.failed, "the sandbox has replaced its socket")
        }
        return .unixSocket(path: session.socket)
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
            for volume in try await cacheVolumes(of: project, server) {
                do {
                    try await client.removeVolume(volume.name)
                } catch let error as DockerError where error.isConflict {
                    throw SandboxError(.inUse, "the project still has sandboxes; remove their sessions first")
                }
            }
            try await removeNetwork(of: project)
        }
    }

    static var unknown: SandboxError { SandboxError(.notFound, "the session has no sandbox") }

    private func sessionIDs() async throws -> [ID<Session>] {
        guard let server = try server.knownID(files) else { return [] }
        let containers = try await client.containers(label: "\(DockerLabel.server)=\(server)")
        return containers.compactMap { $0.labels?[DockerLabel.session].map { ID(rawValue: $0) } }
    }

    /// Nil also for a container that another server made.
    private func container(of id: ID<Session>) async throws -> DockerContainer? {
        guard let server = try server.knownID(files) else { return nil }
        let container = try await client.container(DockerName.container(id))
        return container?.label(DockerLabel.server) == server ? container : nil
    }

    private func isOurs(volume name: String) async throws -> Bool {
        let server = try server.id(files)
        return try await client.volumes(label: "\(DockerLabel.server)=\(server)").contains { $0.name == name }
    }

    private func stop(_ container: DockerContainer, _ id: ID<Session>) async throws {
        guard container.isRunning || container.isPaused, let session = files.session(id) else { return }
        try PrivateFile.makeDirectory(session.directory)
        try PrivateFile.write("", to: session.stopping)
        // Goes on when the caller gives up: whoever was asked to end gets the time that takes.
        try await Task { try await client.stopContainer(container.id, seconds: Self.patience) }.value
        unlink(session.socket)
    }

    /// Ends and removes a session's container with what nobody else needs of it, but not its data. Throws `SandboxError`
    /// for one that another server made.
    func end(_ id: ID<Session>) async throws {
        guard let container = try await client.container(DockerName.container(id)) else { return }
        guard container.label(DockerLabel.server) == (try server.id(files)) else {
            // For removing, what is not ours is not there.
            return
        }
        try await stop(container, id)
        try await client.removeContainer(container.id)
        try await removeOwnNetwork(of: container)
        if let project = container.label(DockerLabel.project) { try await removeNetwork(of: ID(rawValue: project)) }
    }

    /// Removes the network that a sandbox has for itself, if it has one.
    private func removeOwnNetwork(of container: DockerContainer) async throws {
        guard let session = container.label(DockerLabel.session), let project = container.label(DockerLabel.project),
            try await client.info().isPodman
        else { return }
        let server = try server.id(files)
        try await client.removeNetwork(
            DockerName.network(ID(rawValue: session), of: ID(rawValue: project), server: server)
        )
    }

    /// Removes the network of a project when no sandbox of the project is left.
    private func removeNetwork(of project: ID<Project>) async throws {
        let server = try server.id(files)
        try await networks.run(ID(rawValue: project.rawValue)) {
            let containers = try await client.containers(label: "\(DockerLabel.server)=\(server)")
            guard !containers.contains(where: { $0.labels?[DockerLabel.project] == project.rawValue }) else { return }
            try await client.removeNetwork(DockerName.network(project, server: server))
        }
    }
}
