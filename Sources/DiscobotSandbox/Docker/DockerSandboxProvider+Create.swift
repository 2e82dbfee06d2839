// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc
import NIOCore

extension DockerSandboxProvider {
    package func create(_ specification: SandboxSpecification) async throws {
        guard let session = files.session(specification.sessionID) else {
            throw SandboxError(.failed, "a session's id has letters, digits and hyphens only, at most 65")
        }
        try await translating {
            try await queue.run(specification.sessionID) {
                let conditions = try await conditions(specification.network)
                try WorkspaceAccess.check(specification.workspacePath, for: conditions.users.outside)
                watch.begin(server: try server.id(files))
                try await end(specification.sessionID)
                try files.prepare()
                try prepare(session, conditions.users)
                try await make(specification, session, conditions)
            }
        }
        feed.publish(specification.sessionID)
    }

    /// Makes the session's directories: from here on the engine may have something of it. Nothing of an earlier sandbox is taken for this one's.
    func prepare(_ session: LocalSessionFiles, _ users: DockerUsers) throws {
        try PrivateFile.makeDirectory(session.directory)
        unlink(session.stopping)
        unlink(session.socket)
        // A container that exists has the directory itself mounted, so it stays.
        if !PrivateFile.exists(session.runDirectory) { try PrivateFile.makeDirectory(session.runDirectory) }
        // Also of one that is there: whoever made it may have died before this.
        let user = users.outside
        guard geteuid() != 0 || chown(session.runDirectory, uid_t(user.uid), gid_t(user.gid)) == 0 else {
            throw SandboxError(.failed, "cannot give \(session.runDirectory) to the sandbox's user")
        }
    }

    private func make(
        _ specification: SandboxSpecification,
        _ session: LocalSessionFiles,
        _ conditions: DockerConditions
    ) async throws {
        let server = try server.id(files)
        let user = conditions.users.inside
        let plan = DockerContainerPlan(
            specification: specification,
            configuration: configuration,
            server: server,
            users: conditions.users,
            passage: conditions.passage,
            hasOwnAgent: conditions.hasOwnAgent,
            runDirectory: session.runDirectory,
            libraries: configuration.command == nil ? try await libraries.foreign(to: configuration.agentBinary) : [],
            accounts: conditions.hasOwnAgent ? [] : try await accounts(image: conditions.image, user: user),
            dataVolume: try await dataVolume(specification, server),
            cacheVolume: configuration.isCacheEnabled ? try await cacheVolume(specification, server) : nil,
            network: configuration.network ?? Self.network(specification, conditions.engine, server),
            engine: conditions.engine
        )
        let container = try await container(plan)
        do {
            try await client.extract(Self.places(user, plan), to: DockerContainerPlan.volume, of: container)
        } catch {
            // Without its data it would never run. This goes on when the caller gives up.
            try? await Task { try await client.removeContainer(container) }.value
            throw error
        }
    }

    /// Engines refuse such a limit where their storage cannot keep it.
    private static func limitingDisk<Value>(to megabytes: Int?, _ body: () async throws -> Value) async throws -> Value
    {
        do {
            return try await body()
        } catch let error as DockerError where megabytes != nil && error.isRefusal {
            guard ["quota", "storage-opt", "size"].contains(where: { error.message.contains($0) }) else { throw error }
            throw SandboxError(
                .resourceLimit,
                "the engine's storage cannot limit the disk of a sandbox: \(error.message). Take limits.diskMb from the "
                    + "workspace and SANDBOX_DISK_MB from the settings, or keep the engine's data on XFS with pquota"
            )
        }
    }

    private func container(_ plan: DockerContainerPlan) async throws -> String {
        try await Self.limitingDisk(to: plan.specification.limits.diskMegabytes) { try await create(plan) }
    }

    private func create(_ plan: DockerContainerPlan) async throws -> String {
        let name = DockerName.container(plan.specification.sessionID)
        guard plan.specification.network == .internet, configuration.network == nil else {
            return try await client.createContainer(name, plan.settings)
        }
        // Whoever removes the project's network sees the container, or has removed it before.
        return try await networks.run(ID(rawValue: plan.specification.projectID.rawValue)) {
            try await prepareNetwork(plan)
            return try await client.createContainer(name, plan.settings)
        }
    }

    /// Data and cache belong to the sandbox's user, whatever the image is like: the engine unpacks this into the volumes.
    private static func places(_ user: DockerUser, _ plan: DockerContainerPlan) -> ByteBuffer {
        DockerTar.directories(["agent", "agent/home"] + (plan.cacheVolume == nil ? [] : ["cache"]), owner: user)
    }

    /// One for each project, without communication between its containers; Podman knows that between networks only.
    private static func network(_ specification: SandboxSpecification, _ engine: DockerInfo, _ server: String) -> String
    {
        let project = specification.projectID
        return engine.isPodman
            ? DockerName.network(specification.sessionID, of: project, server: server)
            : DockerName.network(project, server: server)
    }

    private func dataVolume(_ specification: SandboxSpecification, _ server: String) async throws -> String {
        let labels = [
            DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "data",
            DockerLabel.session: specification.sessionID.rawValue,
            DockerLabel.project: specification.projectID.rawValue,
        ]
        let megabytes = specification.limits.diskMegabytes
        let volume = try await Self.limitingDisk(to: megabytes) {
            let name = DockerName.data(specification.sessionID)
            return try await client.createVolume(name, labels: labels, megabytes: megabytes)
        }
        guard volume.labels?[DockerLabel.server] == server else { throw Self.foreign(specification.sessionID) }
        return volume.name
    }

    /// Where another server on this engine has a project of the same name, ours gets a name that tells them apart.
    private func cacheVolume(_ specification: SandboxSpecification, _ server: String) async throws -> String {
        let labels = [
            DockerLabel.managed: "true", DockerLabel.server: server, DockerLabel.type: "cache",
            DockerLabel.project: specification.projectID.rawValue,
        ]
        // Whatever name it got once.
        if let known = try await cacheVolumes(of: specification.projectID, server).first { return known.name }
        let name = DockerName.cache(specification.projectID)
        let volume = try await client.createVolume(name, labels: labels)
        if volume.labels?[DockerLabel.server] == server { return name }
        return try await client.createVolume("\(name)-\(server)", labels: labels).name
    }

    func cacheVolumes(of project: ID<Project>, _ server: String) async throws -> [DockerVolume] {
        let labels = [DockerLabel.of(server), DockerLabel.of(project), "\(DockerLabel.type)=cache"]
        return try await client.volumes(labels: labels)
    }

    private func prepareNetwork(_ plan: DockerContainerPlan) async throws {
        guard try await client.network(plan.network) == nil else { return }
        let project = plan.specification.projectID
        var labels = [
            DockerLabel.managed: "true", DockerLabel.server: plan.server, DockerLabel.project: project.rawValue,
        ]
        if plan.network != DockerName.network(project, server: plan.server) {
            labels[DockerLabel.session] = plan.specification.sessionID.rawValue
        }
        let interface = DockerName.bridge(plan.network)
        try await client.createNetwork(
            plan.network,
            options: [
                // Sandboxes of a project do not reach each other either.
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.name": interface,
            ],
            labels: labels
        )
        // Before the first sandbox is there. Where it fails, the README says what helps.
        if DockerFirewall.isOurs(interface: interface) { _ = try await DockerFirewall.close() }
    }

    static func foreign(_ id: ID<Session>) -> SandboxError {
        SandboxError(
            .failed,
            "the Docker Engine has a sandbox of the session \(id) that another server made; remove "
                + "\(DockerName.container(id)) and \(DockerName.data(id)) if that server is gone"
        )
    }

    func translating<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as DockerError {
            throw error.sandboxError
        }
    }
}
