// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import Logging

/// The image of the sandboxes.
struct DockerImages: Sendable {
    private let client: DockerClient
    private let configuration: DockerSandboxProvider.Configuration
    private let pulls: DockerPulls

    init(client: DockerClient, configuration: DockerSandboxProvider.Configuration, logger: Logger) {
        self.client = client
        self.configuration = configuration
        pulls = DockerPulls(client: client, settingsDirectory: configuration.settingsDirectory, logger: logger)
    }

    /// Nil when the engine has the image. Throws `DockerError`.
    var problem: ProviderState.Problem? {
        get async throws {
            guard let reference = ImageReference(configuration.image) else { return Self.badName(configuration.image) }
            return try await client.image(reference.lookup) == nil ? Self.missing(reference) : nil
        }
    }

    /// Throws `SandboxError` or `DockerError`: `unavailable` for one that nobody can fetch, only build.
    func isPresent() async throws -> Bool {
        guard let problem = try await problem else { return true }
        if ImageReference(configuration.image)?.isLocal == true { throw SandboxError(.unavailable, problem.text) }
        return false
    }

    /// What the image's name means now; nil when the engine has no such image. Throws `DockerError`.
    func current() async throws -> DockerImage? {
        guard let reference = ImageReference(configuration.image) else { return nil }
        return try await client.image(reference.lookup)
    }

    /// Fetches the image, by the pull that is under way where there is one. The pull goes on when the caller gives up.
    /// Throws `SandboxError` or `DockerError`.
    func fetch(_ report: @escaping @Sendable (SandboxImageProgress) -> Void = { _ in }) async throws {
        guard let reference = ImageReference(configuration.image) else {
            throw SandboxError(.invalidImage, Self.badName(configuration.image).text)
        }
        guard !reference.isLocal else { throw SandboxError(.invalidImage, Self.missing(reference).text) }
        do {
            try await pulls.pull(reference) { progress in
                report(SandboxImageProgress(bytes: progress.bytesDone, totalBytes: progress.bytesTotal))
            }
        } catch let error as DockerError where error.code != .unreachable {
            throw SandboxError(.invalidImage, Self.missing(reference, because: error).text)
        }
    }

    /// Makes sure that the engine has the image, by pulling it when that is possible. Throws `SandboxError` or
    /// `DockerError`.
    func available() async throws -> DockerImage {
        if let image = try await current() { return image }
        try await fetch()
        if let image = try await current() { return image }
        throw SandboxError(.invalidImage, "the Docker Engine has pulled \(configuration.image), and does not have it")
    }

    private static func badName(_ name: String) -> ProviderState.Problem {
        ProviderState.Problem(
            reason: "SANDBOX_IMAGE is no name of an image: \(name.prefix(200))",
            remedy: "Name any image with glibc and git, such as debian:bookworm with git installed."
        )
    }

    private static func missing(_ image: ImageReference, because error: DockerError? = nil) -> ProviderState.Problem {
        let reason = "the Docker Engine does not have the image \(image)"
        let other = "or name another image with glibc and git in SANDBOX_IMAGE."
        if image.isLocal {
            return ProviderState.Problem(reason: reason, remedy: "Build it (./dev image), \(other)")
        }
        guard let error else {
            return ProviderState.Problem(reason: reason, remedy: "Get it (docker pull \(image)), \(other)")
        }
        return ProviderState.Problem(
            reason: reason + ", and pulling it from \(image.registry) failed: \(error.message)",
            remedy: "\(PullFailure(error.message).remedy(image)), \(other)"
        )
    }
}

/// Why a registry gave nothing, as far as the engine's words tell.
private enum PullFailure {
    case refused, unknown, unreachable, full, other

    init(_ message: String) {
        let message = message.lowercased()
        func has(_ words: String...) -> Bool { words.contains { message.contains($0) } }
        self =
            if has("no space left") {
                .full
            } else if has("unauthorized", "denied", "authentication required", "no basic auth", "forbidden") {
                // Registries also say that of an image that is not there.
                .refused
            } else if has("not found", "manifest unknown", "does not exist") {
                .unknown
            } else if has("no such host", "refused", "timeout", "unreachable", "i/o", "tls", "x509", "did not answer") {
                .unreachable
            } else {
                .other
            }
    }

    func remedy(_ image: ImageReference) -> String {
        switch self {
        case .refused: "Check the name, and log in as the server's user (docker login \(image.registry))"
        case .unknown: "Check the name and the tag"
        case .unreachable: "Let the engine reach \(image.registry) (its network, proxy and certificates)"
        case .full: "Make room on the engine's disk (docker system df)"
        case .other: "Try it by hand (docker pull \(image))"
        }
    }
}

extension ProviderState.Problem {
    fileprivate var text: String { "\(reason). \(remedy)" }
}

extension ImageReference {
    /// As images are asked for; an id stands for itself.
    fileprivate var lookup: String { name == "sha256" ? "sha256:\(tag)" : description }
}
