// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc
package import Logging
import NIOHTTP1

/// Sandboxes as containers of a Docker Engine on this machine, from any image with glibc.
package struct DockerSandboxProvider: SandboxProvider {
    package struct Configuration: Sendable {
        /// Nil for what this server cannot connect to.
        package var address: DockerAddress? = .standard
        package var image = "discobot-local/sandbox:latest"
        /// A network that the user has made, in place of one for each project.
        package var network: String?
        package var isCacheEnabled = true
        /// Size of `/dev/shm`, `/tmp` and `/var/tmp` each, where nobody says otherwise.
        package var sharedMegabytes = 1024
        /// Nil for all images but those that bring their own agent API.
        package var isRootReadOnly: Bool?
        /// Whether the image brings its own agent API; nil when its label says so.
        package var hasOwnAgent: Bool?
        /// What runs containers, such as gVisor's `runsc`; nil is the engine's own choice.
        package var runtime: String?
        /// Where Docker's own client has its settings, which may open registries.
        package var settingsDirectory: String?
        /// Where sandboxes keep their sockets.
        package var root: String
        /// The runtime that every sandbox runs.
        package var agentBinary: String
        /// Runs in place of the runtime; for tests.
        package var command: [String]?
        /// Runs commands where the engine's networks are; for tests, whose engines have networks to themselves.
        package var networkCommand: [String] = []

        package init(root: String, agentBinary: String) {
            self.root = root
            self.agentBinary = agentBinary
        }
    }

    package let name = "docker"
    let configuration: Configuration
    let client: DockerClient
    let files: LocalSandboxFiles
    let libraries = RuntimeLibraries()
    let passages: DockerPassages
    let queue = SandboxQueue()
    /// One at a time makes or removes the network of a project.
    let networks = SandboxQueue(maximumWaiters: 4096)
    let beginnings = DockerBeginnings()
    let preparedImages = DockerPreparedImages()
    let images: DockerImages
    let server: DockerServer
    let feed: SandboxChangeFeed
    let watch: DockerWatch
    let firewall: DockerFirewall

    package init(_ configuration: Configuration, logger: Logger = Logger(label: "discobot")) {
        self.configuration = configuration
        client = DockerClient(configuration.address ?? .standard)
        files = LocalSandboxFiles(root: configuration.root)
        images = DockerImages(client: client, configuration: configuration)
        server = DockerServer(root: configuration.root)
        passages = DockerPassages(path: configuration.root + "/passage")
        feed = SandboxChangeFeed()
        watch = DockerWatch(client: client, feed: feed)
        firewall = DockerFirewall(prefix: configuration.networkCommand, logger: logger)
    }

    package func state() async -> ProviderState {
        guard configuration.address != nil else {
            return .unavailable(
                reason: "DOCKER_HOST names no engine that can be reached",
                remedy: "Use unix:///path or tcp://host:port."
            )
        }
        if configuration.command == nil, access(configuration.agentBinary, X_OK) != 0 {
            return .unavailable(
                reason: "the runtime of sandboxes was not found at \(configuration.agentBinary)",
                remedy: "Put discobot-agent beside the server's executable, or name it in LOCAL_AGENT_BINARY."
            )
        }
        do {
            // The engine may have come since, in another version.
            try await client.negotiate()
            let version = try await client.engineVersion()
            if let problem = try await engineProblem { return ProviderState(version: version, problem: problem) }
            return .available(version: version)
        } catch {
            return .unavailable(
                reason: (error as? DockerError)?.message ?? "no Docker Engine answers at \(client.address.description)",
                remedy: (error as? DockerError)?.remedy ?? Self.remedy(client.address)
            )
        }
    }

    /// Why sandboxes could not be made with this engine. Throws `DockerError`.
    private var engineProblem: ProviderState.Problem? {
        get async throws {
            let engine = try await client.info()
            if let problem = engine.problem(client.address, runtime: configuration.runtime) { return problem }
            if let problem = try await images.problem { return problem }
            return await passageProblem(engine)
        }
    }

    private static func remedy(_ address: DockerAddress) -> String {
        if case .unix(let path) = address, access(path, F_OK) == 0, access(path, R_OK | W_OK) != 0 {
            return "Let the server's user use \(path) (usermod -aG docker USER, then log in again)."
        }
        return "Start one (Debian: apt-get install docker.io) or name its socket in DOCKER_HOST."
    }
}

extension DockerClient {
    /// The engine's own version.
    fileprivate func engineVersion() async throws -> String {
        struct Answer: Decodable, Sendable {
            let version: String

            private enum CodingKeys: String, CodingKey {
                case version = "Version"
            }
        }
        let answer: Answer = try await value(.GET, "/version", within: .seconds(5))
        forgetInfo(unlessOf: answer.version)
        return answer.version
    }
}
