// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Dispatch
import Foundation
import Synchronization
import Testing

@testable import DiscobotSandbox

/// Pulls that many wait for, and those that fail.
@Suite(.timeLimit(.minutes(20)))
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

    /// What an engine has been asked for.
    private struct Registry {
        var isThere = false
        var looks = 0
        var pulls = 0
        /// How many there were at once.
        var mostPulls = 0
    }

    @Test func `all who want an image share one pull, which goes on when one of them gives up`() async throws {
        let registry = Mutex(Registry())
        let end = DispatchSemaphore(value: 0)
        defer { end.signal() }
        try await with { request in
            guard request.hasPrefix("POST /images/create") else {
                guard request == "GET /images/registry.test/tools:1/json" else { return Self.absent }
                return registry.withLock { registry in
                    registry.looks += 1
                    return registry.isThere ? .json(200, #"{"Id":"sha256:1"}"#) : Self.absent
                }
            }
            return .live { write in
                registry.withLock { registry in
                    registry.pulls += 1
                    registry.mostPulls = max(registry.mostPulls, registry.pulls)
                }
                let line = #"{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":40}}"#
                write(StubDockerEngine.streamHead + line + "\n")
                // Whoever has looked before the end, and asks after it, need not wait.
                end.wait()
                end.signal()
                registry.withLock { registry in
                    registry.pulls -= 1
                    registry.isThere = true
                }
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
            while registry.withLock({ $0.looks == 0 }) { try await Task.sleep(for: .milliseconds(5)) }
            end.signal()
            try await other.value
            #expect(await told.next() == SandboxImageProgress(bytes: 40, totalBytes: 40))
            // This engine makes nothing.
            await #expect(throws: SandboxError.self) { try await session.value }
            #expect(registry.withLock { $0.mostPulls } == 1)
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
