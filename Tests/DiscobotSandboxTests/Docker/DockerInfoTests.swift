// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

/// What engines say of themselves, and what follows from it.
@Suite(.timeLimit(.minutes(20)))
struct DockerInfoTests {
    private func info(_ json: String) throws -> DockerInfo {
        try JSONDecoder().decode(DockerInfo.self, from: Data(json.utf8))
    }

    @Test(arguments: [
        (#"{}"#, 1000, "1000:1000 1000:1000"), (#"{}"#, 0, "1000:1000 1000:1000"),
        (#"{"SecurityOptions":["name=seccomp,profile=default","name=userns"]}"#, 501, "501:501 501:501 host"),
        (#"{"SecurityOptions":["name=rootless"]}"#, 501, "501:501 0:0"),
        (#"{"SecurityOptions":["name=rootless"],"BuildahVersion":"1.28"}"#, 501, "501:501 501:501 keep-id"),
        (#"{"SecurityOptions":null,"BuildahVersion":"1.28"}"#, 501, "501:501 501:501"),
        (#"{"SecurityOptions":["name=rootlessness"]}"#, 501, "501:501 501:501"),
    ])
    func `sandboxes are the server's user, in whatever way the engine has`(
        json: String,
        server: Int,
        expected: String
    ) throws {
        let users = DockerUsers(of: try info(json), server: DockerUser(uid: server, gid: server))
        let found = "\(users.outside) \(users.inside)" + (users.namespace.map { " " + $0 } ?? "")
        #expect(found == expected)
    }

    @Test func `another user's rootless engine is refused with what helps`() async throws {
        try await TemporaryDirectory.with { directory in
            let rootless = #"{"SecurityOptions":["name=rootless"],"Runtimes":{"runc":{"path":"runc"}}}"#
            let address = DockerAddress.unix(path: directory.file("socket"))
            try directory.write("", to: "socket")
            #expect(try info(rootless).problem(address, runtime: nil) == nil)
            try #require(chown(directory.file("socket"), 12345, 12345) == 0 || geteuid() != 0)
            guard geteuid() == 0 else { return }
            let problem = try #require(try info(rootless).problem(address, runtime: nil))
            #expect(problem.reason.contains("another user's"))
            #expect(problem.remedy.contains("Run the server as that user"))
            #expect(try info("{}").problem(address, runtime: nil) == nil)
        }
    }

    @Test func `an engine that has another root is asked for the runtime by its names`() throws {
        let info = try info(#"{"Runtimes":{"runc":{"path":"runc"},"runsc":{"path":"/usr/bin/runsc"}}}"#)
        #expect(info.problem(.standard, runtime: "runsc") == nil)
        #expect(info.problem(.standard, runtime: "io.containerd.kata.v2") == nil)
        let problem = try #require(info.problem(.standard, runtime: "kata"))
        #expect(problem.reason == "the engine has no runtime kata; it has runc, runsc")
    }

    @Test func `an engine is asked once, and again when it was away`() async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory) { _ in .hangup }
            defer { engine.close() }
            let client = DockerClient(.unix(path: engine.path))
            for _ in 1...2 { _ = try await client.info() }
            #expect(engine.requests.filter { $0.contains("/info ") }.count == 1)
            await #expect(throws: DockerError.self) { _ = try await client.container("a") }
            _ = try await client.info()
            #expect(engine.requests.filter { $0.contains("/info ") }.count == 2)
        }
    }

    @Test func `an engine that takes too long over all is not available, and the reason says so`() async throws {
        try await TemporaryDirectory.with { directory in
            let engine = try StubDockerEngine(in: directory) { _ in .stalled("") }
            defer { engine.close() }
            var configuration = DockerSandboxProvider.Configuration(root: directory.path, agentBinary: "/usr/bin/true")
            configuration.address = .unix(path: engine.path)
            let provider = DockerSandboxProvider(configuration)
            let problem = try #require(await provider.state(within: .milliseconds(100)).problem)
            #expect(problem.reason.contains("has not told within"))
            #expect(problem.remedy.contains("docker info"))
        }
    }
}
