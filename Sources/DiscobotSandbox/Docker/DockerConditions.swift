// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc

/// What the engine and the image mean for a sandbox.
struct DockerConditions: Sendable {
    let engine: DockerInfo
    /// The id of the image of the settings.
    let imageID: String
    let prepared: DockerPreparedImage
    /// Whether the image brings its own agent API, and is used as it is.
    let hasOwnAgent: Bool
    let users: DockerUsers
    let passage: DockerPassage
}

extension DockerSandboxProvider {
    /// On images that bring their own agent API.
    private static let agentLabel = "io.discobot.agent"

    /// Finds out what a sandbox is made with now; fetches the image when it is missing. Throws `SandboxError` or
    /// `DockerError`.
    func conditions(_ network: SandboxSpecification.Network) async throws -> DockerConditions {
        let engine = try await client.info()
        if let problem = engine.problem(client.address, runtime: configuration.runtime) { throw Self.error(problem) }
        let image = try await images.available()
        let hasOwnAgent = hasOwnAgent(image)
        let passage = hasOwnAgent ? .port : try await passage(engine, image: image.id)
        guard passage == .socket || network == .internet else { throw Self.unreachable(network, hasOwnAgent) }
        let users = hasOwnAgent ? nil : DockerUsers(of: engine)
        let prepared = try await prepared(image, for: users)
        return DockerConditions(
            engine: engine,
            imageID: image.id,
            prepared: prepared,
            hasOwnAgent: hasOwnAgent,
            users: users ?? DockerUsers(prepared.user),
            passage: passage
        )
    }

    func hasOwnAgent(_ image: DockerImage) -> Bool {
        configuration.hasOwnAgent ?? (image.label(Self.agentLabel) == "true")
    }

    static func error(_ problem: ProviderState.Problem) -> SandboxError {
        SandboxError(.unavailable, "\(problem.reason). \(problem.remedy)")
    }

    private static func unreachable(_ network: SandboxSpecification.Network, _ hasOwnAgent: Bool) -> SandboxError {
        let reason =
            hasOwnAgent ? "the image brings its own agent API" : "the engine shares no sockets with this machine"
        return SandboxError(
            .startFailed,
            "a sandbox with the network \(network.rawValue) cannot be reached, as \(reason), so it is reached by a port; "
                + "give the workspace the network internet, or another provider"
        )
    }
}

extension DockerInfo {
    /// Why this engine cannot run sandboxes of this server; nil when nothing speaks against it.
    ///
    /// - Parameter runtime: what shall run containers; nil is the engine's own choice.
    func problem(_ address: DockerAddress, runtime: String?) -> ProviderState.Problem? {
        if let runtime, !runtimes.contains(runtime), !runtime.contains("/"), !runtime.hasPrefix("io.containerd.") {
            let others = runtimes.sorted().joined(separator: ", ")
            return ProviderState.Problem(
                reason: "the engine has no runtime \(runtime); it has \(others)",
                remedy: "Install it and name it in the engine's settings, or change SANDBOX_RUNTIME."
            )
        }
        if isRootless, case .unix(let path) = address {
            var status = stat()
            guard stat(path, &status) == 0, status.st_uid != geteuid() else { return nil }
            return ProviderState.Problem(
                reason: "the rootless engine at \(path) is another user's, who cannot read this server's files",
                remedy: "Run the server as that user, or name an engine of its own user in DOCKER_HOST."
            )
        }
        return nil
    }
}
