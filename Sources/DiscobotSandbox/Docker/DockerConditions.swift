// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc

/// What the engine and the image mean for a sandbox.
struct DockerConditions: Sendable {
    let engine: DockerInfo
    /// The image's id.
    let image: String
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
        let image = try await images.prepare()
        let hasOwnAgent = configuration.hasOwnAgent ?? (image.settings?.labels?[Self.agentLabel] == "true")
        let passage = hasOwnAgent ? .port : try await passage(engine, image: image.id)
        guard passage == .socket || network == .internet else { throw Self.unreachable(network, hasOwnAgent) }
        return DockerConditions(
            engine: engine,
            image: image.id,
            hasOwnAgent: hasOwnAgent,
            users: hasOwnAgent ? DockerUsers(try await user(of: image)) : DockerUsers(of: engine),
            passage: passage
        )
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

    /// Who an image's programs are: numbers, or a name that its `passwd` explains.
    private func user(of image: DockerImage) async throws -> DockerUser {
        let parts = (image.settings?.user ?? "").split(separator: ":").map(String.init)
        guard let name = parts.first else { return DockerUser(uid: 0, gid: 0) }
        if let uid = Int(name) { return DockerUser(uid: uid, gid: parts.dropFirst().first.flatMap { Int($0) } ?? 0) }
        let files = try await accountFiles(image: image.id)
        let accounts = files[0].split(separator: "\n")
        let fields = accounts.map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        guard let line = fields.first(where: { $0.count > 3 && $0[0] == name }), let uid = Int(line[2]),
            let gid = Int(line[3])
        else { throw SandboxError(.invalidImage, "the image's user \(name) is not in its /etc/passwd") }
        return DockerUser(uid: uid, gid: gid)
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
