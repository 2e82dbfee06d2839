// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import DiscobotSandbox

/// Pulls that many wait for, and those that fail.
@Suite(.timeLimit(.minutes(2)))
struct DockerPullTests {
    private static let absent = StubDockerEngine.Answer.json(404, #"{"message":"none"}"#)

    private func with(
        _ answer: @escaping @Sendable (String) -> StubDockerEngine.Answer,
        _ body: (DockerSandboxProvider, TemporaryDirectory) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory, answer: answer)
            defer { engine.close() }
            var configuration = DockerSandboxProvider.Configuration(
                root: directory.file("sandboxes"),
                agentBinary: "/usr/bin/true"
            )
            configuration.address = .unix(path: engine.path)
            configuration.image = "registry.test/tools:1"
            try await body(DockerSandboxProvider(configuration), directory)
        }
    }

    @Test func `all who want an image share one pull, which goes on when one of them gives up`() async throws {
        let pulls = Mutex(0)
        let isThere = Mutex(false)
        let end = DispatchSemaphore(value: 0)
        try await with { request in
            guard request.hasPrefix("POST /images/create") else {
                guard request == "GET /images/registry.test/tools:1/json" else { return Self.absent }
                return isThere.withLock { $0 } ? .json(200, #"{"Id":"sha256:1"}"#) : Self.absent
            }
            pulls.withLock { $0 += 1 }
            return .live { write in
                let line = #"{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":40}}"#
                write(StubDockerEngine.streamHead + line + "\n")
                end.wait()
                isThere.withLock { $0 = true }
                write(#"{"status":"Pull complete","id":"a"}"# + "\n")
            }
        } _: { provider, directory in
            let (reports, continuation) = AsyncStream.makeStream(of: SandboxImageProgress.self)
            var told = reports.makeAsyncIterator()
            let begun = SandboxImageProgress(bytes: 10, totalBytes: 40)
            let background = Task { try await provider.pullImage { continuation.yield($0) } }
            #expect(await told.next() == begun)
            let specification = try ProviderKind.docker.specification("session", directory)
            let session = Task { try await provider.create(specification) }
            let other = Task { try await provider.pullImage { continuation.yield($0) } }
            // Whoever comes later hears at once how far it is.
            #expect(await told.next() == begun)
            background.cancel()
            await #expect(throws: CancellationError.self) { try await background.value }
            end.signal()
            try await other.value
            #expect(await told.next() == SandboxImageProgress(bytes: 40, totalBytes: 40))
            // This engine makes nothing.
            await #expect(throws: SandboxError.self) { try await session.value }
            #expect(pulls.withLock { $0 } == 1)
        }
    }

    @Test(arguments: [
        ("pull access denied for tools, repository does not exist or may require 'docker login'", "docker login"),
        ("unauthorized: authentication required", "docker login registry.test"),
        ("manifest for registry.test/tools:1 not found: manifest unknown", "Check the name and the tag"),
        ("dial tcp: lookup registry.test: no such host", "Let the engine reach registry.test"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", "Let the engine reach registry.test"),
        ("tls: failed to verify certificate: x509: certificate has expired", "certificates"),
        ("write /var/lib/docker/tmp/x: no space left on device", "docker system df"),
        ("something new", "docker pull registry.test/tools:1"),
    ])
    func `a pull that fails names image, registry, reason and what helps`(reason: String, help: String) async throws {
        let line = #"{"errorDetail":{"message":"\#(reason)"},"error":"\#(reason)"}"#
        try await with { request in
            request.hasPrefix("POST /images/create") ? .raw(StubDockerEngine.streamHead + line + "\n") : Self.absent
        } _: { provider, directory in
            let specification = try ProviderKind.docker.specification("session", directory)
            let error = await #expect(throws: SandboxError.self) { try await provider.create(specification) }
            #expect(error?.code == .invalidImage)
            for part in ["registry.test/tools:1", "from registry.test", reason, help, "SANDBOX_IMAGE"] {
                #expect(error?.message.contains(part) == true, "\(part): \(error?.message ?? "")")
            }
        }
    }

    @Test func `a registry that says nothing more is given up`() async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory) { _ in .stalled(StubDockerEngine.streamHead) }
            defer { engine.close() }
            let image = try #require(ImageReference("registry.test/tools:1"))
            let error = await #expect(throws: DockerError.self) {
                try await DockerClient(.unix(path: engine.path)).pull(image, silence: .milliseconds(100))
            }
            #expect(error?.code == .timedOut)
            #expect(error?.message.hasPrefix("nothing came") == true)
        }
    }
}
