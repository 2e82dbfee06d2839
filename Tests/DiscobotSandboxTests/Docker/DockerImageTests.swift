// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import NIOCore
import Synchronization
import Testing

@testable import DiscobotSandbox

/// The image of the sandboxes as something that is fetched in the background.
@Suite(.timeLimit(.minutes(20)))
struct DockerImageTests {
    private func with(
        _ image: String,
        _ answer: @escaping @Sendable (String) -> StubDockerEngine.Answer,
        _ body: (DockerSandboxProvider) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory, answer: answer)
            defer { engine.close() }
            var configuration = DockerSandboxProvider.Configuration(
                root: directory.file("sandboxes"),
                agentBinary: "/usr/bin/true"
            )
            configuration.address = .unix(path: engine.path)
            configuration.image = image
            try await body(DockerSandboxProvider(configuration))
        }
    }

    @Test
    func `an image that is missing is pulled, and its progress told`() async throws {
        let lines = """
            {"status":"Downloading","id":"a","progressDetail":{"current":10,"total":40}}
            {"status":"Downloading","id":"b","progressDetail":{"current":20,"total":60}}
            {"status":"Pull complete","id":"a"}

            """
        try await with("registry.test/tools:1") { request in
            request.hasPrefix("POST /images/create")
                ? .raw(StubDockerEngine.streamHead + lines) : .json(404, #"{"message":"no such image"}"#)
        } _: { (provider) async throws in
            #expect(provider.imageName == "registry.test/tools:1")
            #expect(try await !provider.isImagePresent())
            let told = Mutex<[SandboxImageProgress]>([])
            try await provider.pullImage { progress in told.withLock { $0.append(progress) } }
            let expected: [(Int64, Int64)] = [(10, 40), (30, 100), (60, 100)]
            #expect(
                told.withLock { $0 } == expected.map { SandboxImageProgress(bytes: $0.0, totalBytes: $0.1) }
            )
        }
    }

    @Test
    func `a pull that is refused says why`() async throws {
        try await with("registry.test/tools:1") { request in
            request.hasPrefix("POST /images/create")
                ? .json(500, #"{"message":"no basic auth credentials"}"#) : .json(404, #"{"message":"none"}"#)
        } _: { (provider) async throws in
            let error = await #expect(throws: SandboxError.self) { try await provider.pullImage { _ in } }
            #expect(error?.code == .invalidImage)
            #expect(error?.message.contains("no basic auth credentials") == true)
        }
    }

    @Test
    func `whoever gives up does not wait for a pull that hangs`() async throws {
        let (pulls, continuation) = AsyncStream.makeStream(of: Void.self)
        try await with("registry.test/tools:1") { request in
            guard request.hasPrefix("POST /images/create") else { return .json(404, #"{"message":"none"}"#) }
            continuation.yield()
            return .stalled(StubDockerEngine.streamHead)
        } _: { (provider) async throws in
            try await TemporaryDirectory.with { directory in
                let specification = try ProviderKind.docker.specification("session", directory)
                let creation = Task { try await provider.create(specification) }
                _ = await pulls.first { _ in true }
                creation.cancel()
                await #expect(throws: CancellationError.self) { try await creation.value }
            }
        }
    }

    @Test
    func `an image that is built here is waited for, not pulled`() async throws {
        let isBuilt = Mutex(false)
        try await with("discobot-local/sandbox:latest") { _ in
            isBuilt.withLock { $0 } ? .json(200, #"{"Id":"sha256:1"}"#) : .json(404, #"{"message":"none"}"#)
        } _: { (provider) async throws in
            let error = await #expect(throws: SandboxError.self) { _ = try await provider.isImagePresent() }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("./dev image") == true)
            isBuilt.withLock { $0 = true }
            #expect(try await provider.isImagePresent())
        }
    }

    @Test
    func `without an engine nobody can tell`() async throws {
        try await with("registry.test/tools:1") { _ in
            .hangup
        } _: { (provider) async throws in
            let error = await #expect(throws: SandboxError.self) { _ = try await provider.isImagePresent() }
            #expect(error?.code == .unavailable)
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `an image is made of a file system, looked at and removed`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        let client = DockerClient(try #require(DockerAddress(host: engine.host)))
        let image = ImageReference(local: "imported", tag: UUID().uuidString.lowercased())
        let (tar, continuation) = AsyncThrowingStream.makeStream(of: ByteBuffer.self, throwing: (any Error).self)
        continuation.yield(
            DockerTar.archive([DockerTar.Entry(path: "file", mode: 0o644, owner: .root, text: "x\n")])
        )
        continuation.finish()
        try await client.importImage(tar, as: image, changes: ["LABEL discobot.test=1", "USER 4242"])
        let made = try #require(try await client.image(image.description))
        #expect(made.label("discobot.test") == "1")
        #expect(made.settings?.user == "4242")
        for _ in 1...2 { try await client.removeImage(image) }
        #expect(try await client.image(image.description) == nil)
    }
}
