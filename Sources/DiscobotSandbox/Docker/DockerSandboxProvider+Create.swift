// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc

extension DockerSandboxProvider {
    package func create(_ specification: SandboxSpecification) async throws {
        guard let session = files.session(specification.sessionID) else {
            throw SandboxError(.failed, "a session's id has letters, digits and hyphens only, at most 65")
        }
        try await translating {
            try await queue.run(specification.sessionID) {
                // Each answer of the engine is waited for, so they are asked for side by side.
                async let found = container(of: specification.sessionID)
                let conditions = try await conditions(specification.network)
                try WorkspaceAccess.check(specification.workspacePath, for: conditions.users.outside)
                watch.begin(server: try server.id(files))
                try files.prepare()
                // From here on the engine may have something of the session.
                try PrivateFile.makeDirectory(session.directory)
                let container = try await found
                // Goes on when the caller gives up: the engine would have something that nobody removes.
                try await Task {
                    try await make(specification, session, conditions, replacing: container)
                    beginnings.begin(specification.sessionID)
                }.value
            }
        }
        feed.publish(specification.sessionID)
    }

    private func make(
        _ specification: SandboxSpecification,
        _ session: LocalSessionFiles,
        _ conditions: DockerConditions,
        replacing container: DockerContainer?
    ) async throws {
        let plan = try await plan(specification, session, conditions)
        if let container {
            if canGoOn(container, as: plan, session) { return }
            try await end(container, specification.sessionID)
        }
        do {
            try await make(plan, session)
        } catch let error as DockerError where error.isNotFound {
            // Somebody has removed the prepared image.
            await preparedImages.forget()
            let conditions = try await self.conditions(specification.network)
            try await make(try await self.plan(specification, session, conditions), session)
        }
    }

    /// Whether a container that has ended in order is the one that would be made. With a root that can be written it is
    /// not, whatever it was made of.
    private func canGoOn(
        _ container: DockerContainer,
        as plan: DockerContainerPlan,
        _ session: LocalSessionFiles
    ) -> Bool {
        plan.isRootReadOnly && container.hasEnded && container.label(DockerLabel.plan) == plan.digest
            && container.status(wasAsked: PrivateFile.exists(session.stopping)) == .stopped
    }

    /// Makes the session's directories. Nothing of an earlier sandbox is taken for this one's.
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

    /// All that a container is made of; its volumes are made.
    private func plan(
        _ specification: SandboxSpecification,
        _ session: LocalSessionFiles,
        _ conditions: DockerConditions
    ) async throws -> DockerContainerPlan {
        let server = try server.id(files)
        async let dataVolume = dataVolume(specification, server)
        async let cacheVolume = configuration.isCacheEnabled ? cacheVolume(specification, server) : nil
        return DockerContainerPlan(
            specification: specification,
            image: conditions.prepared.name,
            imageID: conditions.imageID,
            configuration: configuration,
            server: server,
            users: conditions.users,
            passage: conditions.passage,
            hasOwnAgent: conditions.hasOwnAgent,
            runDirectory: session.runDirectory,
            libraries: configuration.command == nil ? try await libraries.foreign(to: configuration.agentBinary) : [],
            dataVolume: try await dataVolume,
            cacheVolume: try await cacheVolume,
            network: configuration.network ?? Self.network(specification, conditions.engine, server),
            engine: conditions.engine,
            version: try await client.knownVersion()
        )
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

    private func make(_ plan: DockerContainerPlan, _ session: LocalSessionFiles) async throws {
        try prepare(session, plan.users)
        try await Self.limitingDisk(to: plan.specification.limits.diskMegabytes) {
            let name = DockerName.container(plan.specification.sessionID)
            guard plan.specification.network == .internet, configuration.network == nil else {
                _ = try await client.createContainer(name, plan.settings)
                return
            }
            // Whoever removes the project's network sees the container, or has removed it before.
            try await networks.run(ID(rawValue: plan.specification.projectID.rawValue)) {
                try await prepareNetwork(plan)
                _ = try await client.createContainer(name, plan.settings)
            }
        }
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
        do {
            try await client.createNetwork(
                plan.network,
                options: [
                    // Sandboxes of a project do not reach each other either.
                    "com.docker.network.bridge.enable_icc": "false",
                    "com.docker.network.bridge.name": DockerName.bridge(plan.network),
                ],
                labels: labels
            )
        } catch let error as DockerError where error.isLackOfAddresses {
            throw Self.lackOfAddresses(error, plan.engine)
        }
    }

    static func lackOfAddresses(_ error: DockerError, _ engine: DockerInfo) -> SandboxError {
        let settings =
            engine.isPodman
            ? #"default_subnet_pools in containers.conf"#
            : #"default-address-pools in /etc/docker/daemon.json, for example [{"base":"10.128.0.0/9","size":24}]"#
        return SandboxError(
            .resourceLimit,
            "the engine has no addresses left for one more network: \(error.message). Remove networks that nobody uses "
                + "(docker network prune) and sessions of other projects, or give it more addresses (\(settings)) and "
                + "restart it"
        )
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
