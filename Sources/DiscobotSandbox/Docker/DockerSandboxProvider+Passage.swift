// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Glibc

/// How sandboxes are reached is not read off the engine's name but tried, with the runtime itself in a container: virtual
/// machines, remote engines, other kernels and other users all look alike from here.
extension DockerSandboxProvider {
    /// How long a runtime may take to serve, before the last call.
    private static let probePatience: Duration = .seconds(60)
    /// How long whoever asks for the provider's state waits for that.
    private static let statePatience: Duration = .seconds(4)

    /// Throws `SandboxError` or `DockerError` when there is no way.
    func passage(_ engine: DockerInfo, image: String) async throws -> DockerPassage {
        // Only the runtime can tell.
        guard configuration.command == nil else { return .socket }
        // Podman draws an id for each answer.
        let id = engine.isPodman ? "" : engine.id ?? ""
        let key = LocalSandboxFiles.digest(
            "\(id) \(client.address.description) \(configuration.runtime ?? "") \(DockerUser.server)"
        )
        return try await passages.passage(of: key, with: image) {
            try await translating { try await queue.run(Self.lookQueue) { try await probe(engine, image) } }
        }
    }

    /// Nil also while it takes too long to tell.
    func passageProblem() async -> ProviderState.Problem? {
        await withTaskGroup(of: ProviderState.Problem?.self) { group in
            group.addTask {
                do {
                    _ = try await conditions(.internet)
                    return nil
                } catch is CancellationError {
                    return nil
                } catch {
                    return problem(error)
                }
            }
            group.addTask {
                try? await Task.sleep(for: Self.statePatience)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private func problem(_ error: any Error) -> ProviderState.Problem {
        if let error = error as? DockerError, error.code == .unreachable { return unreachable(error) }
        let known = (error as? DockerError)?.sandboxError ?? error as? SandboxError
        let reason = known?.message ?? "\(error)"
        let remedy =
            switch known?.code {
            case _ where reason.contains("no space left"): "Make room on the engine's disk (docker system df)."
            case .invalidImage: "Name another image with glibc, libstdc++ and git in SANDBOX_IMAGE."
            case .unavailable:
                "Use an engine that runs on this machine as root or as your user, and sees its files."
            case .timedOut: "See what keeps the engine busy; it is tried again in a minute."
            default: "The engine's own log may say more; it is tried again in a minute."
            }
        return ProviderState.Problem(reason: reason, remedy: remedy)
    }

    /// Runs the runtime with each passage until one works.
    private func probe(_ engine: DockerInfo, _ image: String) async throws -> DockerPassages.Finding {
        var reason = ""
        for passage in DockerPassage.allCases {
            guard let failure = try await tried(passage, engine, image) else { return .success(passage) }
            reason = failure.reason
            if failure.isOfImage {
                let message = "the runtime does not run in the image \(configuration.image): \(reason)"
                return .failure(SandboxError(.invalidImage, message))
            }
        }
        // A machine that was too busy may answer the next time.
        throw SandboxError(.unavailable, "the runtime in a container of this engine cannot be reached: \(reason)")
    }

    private struct Failure {
        let reason: String
        /// Whether no passage would help.
        var isOfImage = false
    }

    /// Nil for one that works.
    private func tried(_ passage: DockerPassage, _ engine: DockerInfo, _ image: String) async throws -> Failure? {
        let server = try server.id(files)
        let name = DockerName.look(server)
        try files.prepare()
        let users = DockerUsers(of: engine)
        // What a server that died, or an engine that was too slow to tell, has left.
        try await client.removeContainer(name)
        try await PrivateFile.removeTree(files.probe.runDirectory)
        try prepare(files.probe, users)
        let secret = AgentSecret.random()
        let plan = DockerContainerPlan(
            probing: passage,
            self,
            engine,
            version: try await client.knownVersion(),
            image: image,
            libraries: try await libraries.foreign(to: configuration.agentBinary),
            server: server,
            secret: secret.verifier()
        )
        let result: Result<Failure?, any Error>
        do {
            let container = try await client.createContainer(name, plan.settings)
            try await client.startContainer(container)
            result = .success(try await failure(of: passage, container, secret))
        } catch let error as DockerError where error.isRefusal {
            result = .success(Failure(reason: error.message))
        } catch {
            result = .failure(error)
        }
        try await client.removeContainer(name)
        try await PrivateFile.removeTree(files.probe.runDirectory)
        try await PrivateFile.removeTree(files.probe.directory)
        return try result.get()
    }

    private func failure(
        of passage: DockerPassage,
        _ name: String,
        _ secret: AgentSecret
    ) async throws -> Failure? {
        let start = ContinuousClock.now
        var vainCalls = 0
        while case let waited = start.duration(to: .now), waited < Self.probePatience {
            guard let container = try await client.container(name) else {
                return Failure(reason: "somebody has removed it")
            }
            guard container.isRunning else {
                let log = (try? await client.logs(name, lines: 5)) ?? ""
                // A libc that is too old says which version it should have.
                let isOfImage = container.state.exitCode == 127 || log.contains("GLIBC")
                return Failure(reason: container.failure(log: log), isOfImage: isOfImage)
            }
            // In this order: who says that it serves can be reached at once, or never. A busy machine gets three calls.
            let hasBegun = (try? await client.logs(name, lines: 50))?.contains("listening on") == true
            if let endpoint = endpoint(of: passage, container) {
                let agent = AgentClient(endpoint: endpoint, secret: secret)
                if (try? await agent.health()) != nil { return nil }
            }
            if hasBegun { vainCalls += 1 }
            if vainCalls == 3 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        return Failure(reason: "its \(passage.rawValue) does not answer")
    }

    private func endpoint(of passage: DockerPassage, _ container: DockerContainer) -> AgentEndpoint? {
        switch passage {
        case .socket: .unixSocket(path: files.probe.socket)
        case .port: container.publishedPort.map { .tcp(host: "127.0.0.1", port: $0) }
        }
    }
}

extension DockerContainerPlan {
    /// A container that shows whether the runtime can be reached, and has nothing else.
    fileprivate init(
        probing passage: DockerPassage,
        _ provider: DockerSandboxProvider,
        _ engine: DockerInfo,
        version: DockerVersion,
        image: String,
        libraries: [String],
        server: String,
        secret: String
    ) {
        let files = provider.files
        self.init(
            specification: SandboxSpecification(
                sessionID: "probe",
                projectID: "",
                workspaceID: "",
                workspacePath: files.probe.directory,
                workspaceSource: "",
                workspaceCommit: nil,
                secretVerifier: secret,
                network: passage == .socket ? .none : .internet,
                limits: .init(memoryMegabytes: 512, processes: 256)
            ),
            image: image,
            imageID: image,
            configuration: provider.configuration,
            server: server,
            users: DockerUsers(of: engine),
            passage: passage,
            hasOwnAgent: false,
            runDirectory: files.probe.runDirectory,
            libraries: libraries,
            dataVolume: nil,
            cacheVolume: nil,
            network: provider.configuration.network ?? "bridge",
            engine: engine,
            version: version
        )
    }
}
