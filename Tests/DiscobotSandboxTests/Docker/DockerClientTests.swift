// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import DiscobotSandbox

/// Odd answers, which no real engine gives at will.
@Suite(.timeLimit(.minutes(20)))
struct DockerClientTests {
    private func with(
        _ answer: @escaping @Sendable (String) -> StubDockerEngine.Answer,
        _ body: (DockerClient, StubDockerEngine) async throws -> Void
    ) async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory, answer: answer)
            defer { engine.close() }
            try await body(DockerClient(.unix(path: engine.path)), engine)
        }
    }

    private func failure(_ body: () async throws -> Void) async -> DockerError? {
        await #expect(throws: DockerError.self) { try await body() }
    }

    @Test func `speaks the newest version that both know, and names a host`() async throws {
        try await with { _ in
            .json(200, #"{"Id":"sha256:1"}"#)
        } _: { client, engine in
            let image = try await client.image("debian")
            #expect(image?.id == "sha256:1")
            #expect(engine.requests.first?.hasPrefix("GET /_ping HTTP/1.1\r\n") == true)
            #expect(engine.requests.last?.hasPrefix("GET /v1.47/images/debian/json HTTP/1.1\r\n") == true)
            #expect(engine.requests.last?.lowercased().contains("\r\nhost: docker\r\n") == true)
        }
    }

    @Test func `refusals carry the engine's message`() async throws {
        try await with { _ in
            .json(500, #"{"message":"no space left on device"}"#)
        } _: { client, _ in
            let error = await failure { try await client.startContainer("a") }
            #expect(error?.code == .refused(status: 500))
            #expect(error?.message == "no space left on device")
        }
    }

    @Test func `what is done already and what is gone is no failure`() async throws {
        try await with { request in
            switch request {
            case "POST /containers/a/start": .raw("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
            case "POST /networks/create": .json(409, #"{"message":"exists"}"#)
            default: .json(404, #"{"message":"none"}"#)
            }
        } _: { client, _ in
            try await client.startContainer("a")
            try await client.removeContainer("a")
            try await client.removeVolume("a")
            try await client.removeNetwork("a")
            try await client.createNetwork("a", options: [:], labels: [:])
            #expect(try await client.container("a") == nil)
            #expect(try await client.image("a") == nil)
            #expect(await failure { try await client.startContainer("b") }?.isNotFound == true)
        }
    }

    @Test func `an error within a stream fails the pull`() async throws {
        let lines = """
            {"status":"Downloading","id":"a","progressDetail":{"current":5,"total":10}}
            {"status":"Downloading","id":"b","progressDetail":{"current":1,"total":20}}
            {"status":"Pull complete","id":"a"}
            {"errorDetail":{"message":"denied: access forbidden"},"error":"denied"}

            """
        try await with { _ in
            .raw(StubDockerEngine.streamHead + lines)
        } _: { client, engine in
            let image = try #require(ImageReference("registry.test/a/b:c"))
            let told = Mutex<[[Int64]]>([])
            let credentials = RegistryCredentials(user: "u", password: "p", identityToken: nil, server: "registry.test")
            let error = await failure {
                try await client.pull(image, credentials: credentials) { progress in
                    told.withLock { $0.append([progress.bytesDone, progress.bytesTotal]) }
                }
            }
            #expect(error?.message == "denied: access forbidden")
            #expect(told.withLock { $0 } == [[5, 10], [6, 30], [11, 30]])
            let request = try #require(engine.requests.last)
            #expect(request.contains("/images/create?fromImage=registry.test%2Fa%2Fb&tag=c "))
            #expect(request.lowercased().contains("\r\nx-registry-auth: "))
        }
    }

    @Test func `answers that are broken, cut off or too large are errors`() async throws {
        let large = String(repeating: "x", count: 9 << 20)
        try await with { request in
            switch request {
            case "GET /images/broken/json": .json(200, "{")
            case "GET /images/cut/json": .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            case "GET /images/garbage/json": .raw("garbage\r\n\r\n")
            case "GET /images/large/json": .raw(StubDockerEngine.streamHead + large)
            default: .hangup
            }
        } _: { client, _ in
            #expect(await failure { _ = try await client.image("broken") }?.code == .invalidAnswer)
            #expect(await failure { _ = try await client.image("large") }?.code == .invalidAnswer)
            for name in ["cut", "garbage", "hangup"] {
                #expect(await failure { _ = try await client.image(name) }?.code == .unreachable)
            }
        }
    }

    @Test func `an engine that says nothing is given up in time`() async throws {
        try await with { request in
            request == "GET /silent" ? .stalled("") : .stalled(StubDockerEngine.streamHead + "{")
        } _: { client, _ in
            for path in ["/silent", "/slow"] {
                let error = await failure { _ = try await client.call(.GET, path, within: .milliseconds(100)) }
                #expect(error?.code == .timedOut)
            }
        }
    }

    @Test func `a watch that is not accepted is given up in time`() async throws {
        try await with { _ in
            .stalled("")
        } _: { client, _ in
            let error = await failure {
                try await client.events(
                    label: "a=b",
                    since: DockerMoment(nanoseconds: 0),
                    headWithin: .milliseconds(100)
                ) {
                } handle: { _ in
                }
            }
            #expect(error?.code == .timedOut)
        }
    }

    @Test func `nobody there is said at once`() async throws {
        try await TemporaryDirectory.with { directory in
            let absent = DockerClient(.unix(path: directory.file("absent.sock")))
            let error = await failure { _ = try await absent.image("a") }
            #expect(error?.code == .unreachable)
            #expect(error?.message == "no Docker Engine answers at \(directory.path)/absent.sock")
            let engine = try StubDockerEngine(in: directory) { _ in .hangup }
            engine.close()
            try directory.write("", to: "stub.sock")
            let refused = DockerClient(.unix(path: engine.path))
            #expect(await failure { _ = try await refused.image("a") }?.code == .unreachable)
        }
    }

    @Test func `why nobody answers is said with what helps, and kept for the log`() {
        let place = DockerAddress.unix(path: "/run/docker.sock")
        let denied = DockerError(connectingTo: place, IOError(errnoCode: EACCES, reason: "connect"))
        #expect(denied.message == "the server's user may not use /run/docker.sock")
        #expect(denied.remedy?.contains("usermod -aG docker") == true)
        #expect(denied.sandboxError.message.contains("usermod -aG docker"))
        #expect(denied.sandboxError.description.contains("errno: 13"))
        let absent = DockerError(connectingTo: place, IOError(errnoCode: ENOENT, reason: "connect"))
        #expect(absent.message == "no Docker Engine answers at /run/docker.sock")
        #expect(absent.remedy == nil)
        #expect(absent.description.contains("errno: 2"))
    }

    @Test func `lines come as they are sent, and one without end is refused`() throws {
        var lines = LineSplitter()
        #expect(try lines.read(ByteBuffer(string: "a\nb")).map { String(buffer: $0) } == ["a"])
        #expect(try lines.read(ByteBuffer(string: "c\n\n")).map { String(buffer: $0) } == ["bc"])
        #expect(lines.rest == nil)
        #expect(throws: DockerError.self) { _ = try lines.read(ByteBuffer(repeating: 120, count: 2 << 20)) }
    }
}
