// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

/// The image of the sandboxes.
actor DockerImages {
    private let client: DockerClient
    private let configuration: DockerSandboxProvider.Configuration
    private var pull: Task<Void, any Error>?

    init(client: DockerClient, configuration: DockerSandboxProvider.Configuration) {
        self.client = client
        self.configuration = configuration
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

    /// Fetches the image. Engines download a layer once, however many ask for it. Throws `SandboxError` or `DockerError`.
    func fetch(_ report: @escaping @Sendable (SandboxImageProgress) -> Void) async throws {
        guard let reference = ImageReference(configuration.image), !reference.isLocal else {
            throw SandboxError(.invalidImage, Self.badName(configuration.image).text)
        }
        do {
            try await download(reference) { progress in
                report(SandboxImageProgress(bytes: progress.bytesDone, totalBytes: progress.bytesTotal))
            }
        } catch let error as DockerError where error.code != .unreachable {
            throw SandboxError(.invalidImage, Self.missing(reference, because: error.message).text)
        }
    }

    /// Makes sure that the engine has the image, by pulling it when that is possible. Throws `SandboxError` or
    /// `DockerError`.
    func prepare() async throws -> DockerImage {
        guard let reference = ImageReference(configuration.image) else {
            throw SandboxError(.invalidImage, Self.badName(configuration.image).text)
        }
        if let image = try await client.image(reference.lookup) { return image }
        guard !reference.isLocal else { throw SandboxError(.invalidImage, Self.missing(reference).text) }
        do {
            try await Self.end(of: pulling(reference))
        } catch let error as DockerError where error.code != .unreachable {
            throw SandboxError(.invalidImage, Self.missing(reference, because: error.message).text)
        }
        guard let image = try await client.image(reference.lookup) else {
            throw SandboxError(.invalidImage, Self.missing(reference).text)
        }
        return image
    }

    /// All who want the image wait for the same pull, which goes on when one of them gives up.
    private func pulling(_ reference: ImageReference) -> Task<Void, any Error> {
        if let pull { return pull }
        let task = Task {
            defer { pull = nil }
            try await download(reference)
        }
        pull = task
        return task
    }

    /// Unlike a task's value, this wait ends with the one who waits.
    private static func end(of pull: Task<Void, any Error>) async throws {
        let (ends, continuation) = AsyncThrowingStream.makeStream(of: Void.self)
        // Ends with the pull, whether anybody still waits or not.
        Task {
            switch await pull.result {
            case .success: continuation.finish()
            case .failure(let error): continuation.finish(throwing: error)
            }
        }
        for try await _ in ends {}
        try Task.checkCancellation()
    }

    private func download(
        _ reference: ImageReference,
        progress: @escaping @Sendable (PullProgress) async -> Void = { _ in }
    ) async throws {
        let settings = configuration.settingsDirectory.flatMap { DockerSettings(directory: $0) }
        let credentials = try await settings?.credentials(for: reference.registry)
        try await client.pull(reference, credentials: credentials, progress: progress)
    }

    private static func badName(_ name: String) -> ProviderState.Problem {
        ProviderState.Problem(
            reason: "SANDBOX_IMAGE is no name of an image: \(name.prefix(200))",
            remedy: "Name any image with glibc and git, such as debian:bookworm with git installed."
        )
    }

    private static func missing(_ image: ImageReference, because reason: String? = nil) -> ProviderState.Problem {
        let remedy =
            image.isLocal
            ? "Build it (./dev image), or name another image with glibc and git in SANDBOX_IMAGE."
            : "Get it (docker pull \(image)), or name another image with glibc and git in SANDBOX_IMAGE."
        return ProviderState.Problem(
            reason: "the Docker Engine does not have the image \(image)"
                + (reason.map { ", and pulling it failed: \($0)" } ?? ""),
            remedy: remedy
        )
    }
}

extension ProviderState.Problem {
    fileprivate var text: String { "\(reason). \(remedy)" }
}

extension ImageReference {
    /// As images are asked for; an id stands for itself.
    fileprivate var lookup: String { name == "sha256" ? "sha256:\(tag)" : description }
}
