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
        images = DockerImages(client: client, configuration: configuration, logger: logger)
        server = DockerServer(root: configuration.root)
        passages = DockerPassages(path: configuration.root + "/passage")
        feed = SandboxChangeFeed()
        watch = DockerWatch(client: client, feed: feed)
        firewall = DockerFirewall(prefix: configuration.networkCommand, logger: logger)
    }

    package func state() async -> ProviderState { await state(within: .seconds(15)) }

    func state(within limit: Duration) async -> ProviderState {
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
        // Each question to the engine has a limit of its own; all of them together would take too long.
        return await withTaskGroup(of: ProviderState.self) { group in
            group.addTask { await engineState() }
            group.addTask {
                try? await Task.sleep(upTo: limit)
                return slow(limit)
            }
            defer { group.cancelAll() }
            return await group.next() ?? slow(limit)
        }
    }

    private func slow(_ limit: Duration) -> ProviderState {
        .unavailable(
            reason: "the Docker Engine at \(client.address.description) has not told within "
                + "\(limit.components.seconds) s what it can do",
            remedy: "See what keeps it busy (docker info); it is asked again."
        )
    }

    private func engineState() async -> ProviderState {
        do {
            // The engine may have come since, in another version.
            try await client.negotiate(within: .seconds(5))
            let version = try await client.engineVersion()
            return ProviderState(version: version, problem: try await engineProblem)
        } catch {
            return ProviderState(version: nil, problem: unreachable(error as? DockerError))
        }
    }

    /// Why sandboxes could not be made with this engine. Throws `DockerError`.
    private var engineProblem: ProviderState.Problem? {
        get async throws {
            let engine = try await client.info()
            if let problem = engine.problem(client.address, runtime: configuration.runtime) { return problem }
            if let problem = try await images.problem { return problem }
            return await passageProblem()
        }
    }

    func unreachable(_ error: DockerError?) -> ProviderState.Problem {
        ProviderState.Problem(
            reason: error?.message ?? "no Docker Engine answers at \(client.address.description)",
            remedy: error?.remedy ?? Self.remedy(client.address)
        )
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
        let answer: Answer = try await value(.GET, "/version", within: .seconds(10))
        forgetInfo(unlessOf: answer.version)
        return answer.version
    }
}
