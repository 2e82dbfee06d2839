// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

/// How containers begin and end, also by others' hands.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerLifeTests {
    /// The next state that is told and differs.
    private func status(_ changes: inout AsyncStream<SandboxChange>.Iterator) async -> Sandbox.Status? {
        await changes.next(isolation: #isolation)?.sandbox?.status
    }

    @Test func `the runtime answers in any image`() async throws {
        try await TemporaryDirectory.with { workspace in
            let repository = try await workspace.makeRepository()
            let secret = AgentSecret.random()
            try await DockerFixture.with {
                $0.command = nil
                $0.agentBinary = AgentRuntimeProcess.executable
            } _: { fixture in
                let specification = SandboxSpecification(
                    sessionID: "runtime",
                    projectID: "local",
                    workspaceID: "workspace",
                    workspacePath: repository,
                    workspaceSource: repository,
                    workspaceCommit: nil,
                    secretVerifier: secret.verifier(),
                    network: .none
                )
                try await fixture.provider.create(specification)
                try await fixture.provider.start("runtime")
                let agent = AgentClient(endpoint: try await fixture.provider.endpoint(of: "runtime"), secret: secret)
                var health: AgentHealth?
                while health?.healthy != true {
                    health = try? await agent.health()
                    try #require(try await fixture.provider.sandbox(of: "runtime")?.status == .running)
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(try await agent.user().username == "agent")
                #expect(try await agent.user().uid == 1000)
                try await fixture.provider.stop("runtime")
                #expect(try await fixture.provider.sandbox(of: "runtime")?.status == .stopped)
            }
        }
    }

    @Test func `an image without git is said`() async throws {
        let engine = try await DockerEngine.shared()
        let image = "discobot-local/without-git:1"
        try await Shell.run(
            #"""
            container=$(docker -H "$0" create "$1" true)
            docker -H "$0" export "$container" | tar --delete usr/bin/git | docker -H "$0" import - "$2"
            docker -H "$0" rm "$container"
            """#,
            engine.host,
            DockerEngine.image,
            image
        )
        try await DockerFixture.with {
            $0.image = image
            $0.command = nil
            $0.agentBinary = AgentRuntimeProcess.executable
        } _: { fixture in
            let id = try await fixture.run()
            let endpoint = try await fixture.provider.endpoint(of: id)
            let agent = AgentClient(endpoint: endpoint, secret: AgentSecret.random())
            var health: AgentHealth?
            while health?.error == nil {
                health = try? await agent.health()
                try #require(try await fixture.provider.sandbox(of: id)?.status == .running)
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(health?.error?.contains("git was not found in the sandbox") == true)
            #expect(health?.error?.contains("SANDBOX_IMAGE") == true)
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `what others do to a container is told`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            var changes = fixture.provider.changes().makeAsyncIterator()
            let id = try await fixture.run()
            let name = DockerFixture.container(id)
            while let status = await status(&changes), status != .running {}
            try await fixture.engine.docker("kill", name)
            #expect(await status(&changes) == .stopped)
            try await fixture.provider.start(id)
            #expect(await status(&changes) == .running)
            try await fixture.engine.docker("stop", name)
            #expect(await status(&changes) == .stopped)
            try await fixture.provider.start(id)
            #expect(await status(&changes) == .running)
            try await fixture.engine.docker("rm", "-f", name)
            var change = await changes.next()
            while change?.sandbox != nil { change = await changes.next() }
            #expect(change?.sessionID == id)
            #expect(try await fixture.provider.sandbox(of: id) == nil)
            try await fixture.provider.remove(id, keepingData: false)
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `a container that somebody has paused goes on, stops and goes`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            func pause() async throws {
                try await fixture.engine.docker("pause", DockerFixture.container(id))
                #expect(try await fixture.provider.sandbox(of: id)?.status == .stopped)
            }
            try await pause()
            try await fixture.provider.start(id)
            #expect(try await fixture.provider.sandbox(of: id)?.status == .running)
            try await pause()
            try await fixture.provider.stop(id)
            #expect(try await fixture.inspect(id, "{{.State.Status}}") == "exited")
            try await fixture.provider.start(id)
            try await pause()
            try await fixture.provider.remove(id, keepingData: false)
            #expect(try await fixture.listed("ps").isEmpty)
        }
    }

    @Test func `a stop that fails is not taken for a wish when the sandbox ends later`() async throws {
        try await TemporaryDirectory.with { directory in
            let provider = try await ProviderKind.docker(directory) {
                $0.address = .unix(path: directory.file("stub.sock"))
            }
            let server = try provider.server.id(provider.files)
            let state = #"{"Status":"running","ExitCode":0,"OOMKilled":false,"StartedAt":"2026-01-01T00:00:00Z"}"#
            let container = #"""
                {"Id":"1","Created":"2026-01-01T00:00:00Z","State":\#(state),
                    "Config":{"Image":"i","Labels":{"discobot.server":"\#(server)"}}}
                """#
            let engine = try StubDockerEngine(in: directory) { request in
                request.hasPrefix("GET /containers/")
                    ? .json(200, container) : .json(500, #"{"message":"cannot kill it"}"#)
            }
            defer { engine.close() }
            let error = await #expect(throws: SandboxError.self) { try await provider.stop("session") }
            #expect(error?.message.contains("cannot kill it") == true)
            #expect(engine.requests.contains { $0.contains("/stop?") })
            #expect(try directory.contents("sandboxes/sessions/session").isEmpty)
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `data outlives a container that somebody removes`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            _ = try await fixture.output(of: "echo precious >/.data/agent/file; echo c >/.data/cache/file", in: id)
            try await fixture.engine.docker("rm", "-f", DockerFixture.container(id))
            _ = try await fixture.run(id)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: id) == "precious")
            try await fixture.provider.remove(id, keepingData: true)
            _ = try await fixture.run(id)
            #expect(try await fixture.output(of: "cat /.data/agent/file /.data/cache/file", in: id) == "precious\nc")
            try await fixture.provider.remove(id, keepingData: false)
            _ = try await fixture.run(id)
            #expect(
                try await fixture.output(
                    of: "until [ -s /.data/agent/life ]; do sleep 0.01; done; cat /.data/agent/life /.data/cache/file",
                    in: id
                ) == "began\nc"
            )
        }
    }

    @Test func `an end says what has happened`() async throws {
        try await DockerFixture.with(script: "echo out of ideas >&2; exit 3") { fixture in
            let id = try await fixture.run()
            for await change in fixture.provider.changes() where change.sandbox?.status == .failed {
                #expect(change.sandbox?.error == "exited with code 3: out of ideas")
                break
            }
            #expect(try await fixture.provider.sandbox(of: id)?.stoppedAt != nil)
        }
        try await DockerFixture.with(script: "exec tail /dev/zero") { fixture in
            _ = try await fixture.run(limits: .init(memoryMegabytes: 64))
            for await change in fixture.provider.changes() where change.sandbox?.status == .failed {
                #expect(change.sandbox?.error == "ran out of memory")
                break
            }
        }
    }

    private static let ends: [(String, Sandbox.Status, String?)] = [
        ("exit 143", .stopped, nil), ("exit 137", .stopped, nil), ("exit 0", .stopped, nil),
        ("echo no luck >&2; exit 1", .failed, "exited with code 1: no luck"),
        ("for i in $(seq 200); do sleep 100 & done", .failed, "exited with code 2"),
    ]

    @Test(arguments: ends)
    func `each way to end has its status`(script: String, status: Sandbox.Status, error: String?) async throws {
        try await DockerFixture.with(script: script) { fixture in
            _ = try await fixture.run(limits: .init(processes: 50))
            for await change in fixture.provider.changes() where change.sandbox?.stoppedAt != nil {
                #expect(change.sandbox?.status == status)
                #expect(
                    change.sandbox?.error?.hasPrefix(error ?? "") ?? (error == nil),
                    "\(change.sandbox?.error ?? "")"
                )
                break
            }
        }
    }

    @Test func `a program that cannot be run is a failed start`() async throws {
        try await DockerFixture.with {
            $0.command = ["/nonexistent/program"]
        } _: { fixture in
            let id = ID<Session>.random()
            try await fixture.create(id)
            // Under an init the engine has begun before the program is looked for.
            try? await fixture.provider.start(id)
            for await change in fixture.provider.changes() where change.sandbox?.status == .failed {
                #expect(change.sandbox?.error?.contains("/nonexistent/program") == true)
                break
            }
        }
    }

    @Test func `a missing image is named with what helps`() async throws {
        for (image, help, part) in [
            ("discobot-local/absent:1", "./dev image", "./dev image"),
            ("registry.invalid/absent:1", "docker pull registry.invalid/absent:1", "Let the engine reach"),
        ] {
            try await DockerFixture.with {
                $0.image = image
            } _: { fixture in
                let reason = "the Docker Engine does not have the image \(image)"
                let problem = await fixture.provider.problem { $0?.reason == reason }
                #expect(problem?.reason == reason)
                #expect(problem?.remedy.contains(help) == true)
                let error = await #expect(throws: SandboxError.self) { try await fixture.create("session") }
                #expect(error?.code == .invalidImage)
                #expect(error?.message.contains(image) == true)
                #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
                try await fixture.provider.remove("session", keepingData: false)
            }
        }
    }

    @Test func `a workspace that is not there is said`() async throws {
        try await DockerFixture.with { fixture in
            let id = ID<Session>.random()
            try await fixture.create(id)
            try FileManager.default.removeItem(atPath: fixture.directory.file("workspace"))
            let error = await #expect(throws: SandboxError.self) { try await fixture.provider.start(id) }
            #expect(error?.code == .startFailed)
            #expect(error?.message.contains(fixture.directory.file("workspace")) == true)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root gives sandboxes another user"))
    func `a workspace that the sandbox's user cannot read is said, with what helps`() async throws {
        try await DockerFixture.with { fixture in
            _ = try ProviderKind.docker.specification("session", fixture.directory)
            try FileManager.default.createDirectory(
                atPath: fixture.directory.file("workspace/.git"),
                withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700]
            )
            let error = await #expect(throws: SandboxError.self) { try await fixture.create("session") }
            #expect(error?.message.contains("cannot read \(fixture.directory.file("workspace/.git"))") == true)
            #expect(error?.message.contains("chmod -R o+rX '\(fixture.directory.file("workspace"))'") == true)
        }
    }

    @Test func `without an engine, sessions that it has nothing of are removed all the same`() async throws {
        try await TemporaryDirectory.with { directory in
            let provider = try await ProviderKind.docker(directory) {
                $0.address = .unix(path: directory.file("absent.sock"))
            }
            try await provider.remove("session", keepingData: false)
            try await provider.removeCache(of: "local")
            #expect(try await provider.sandboxes().isEmpty)
            #expect(try await provider.sandbox(of: "session") == nil)
            #expect(!directory.exists("sandboxes"))
            let specification = try ProviderKind.docker.specification("session", directory)
            let error = await #expect(throws: SandboxError.self) { try await provider.create(specification) }
            #expect(error?.code == .unavailable)
            try await provider.remove("other", keepingData: false)
        }
    }

    @Test func `two servers on one engine leave each other alone`() async throws {
        try await DockerFixture.with { first in
            let id = try await first.run()
            try await DockerFixture.with { second in
                #expect(try await second.provider.sandboxes().isEmpty)
                #expect(try await second.provider.sandbox(of: id) == nil)
                try await second.provider.remove(id, keepingData: false)
                let error = await #expect(throws: SandboxError.self) { try await second.create(id) }
                #expect(error?.message.contains("another server") == true)
                try await second.provider.remove(id, keepingData: false)
                let other = try await second.run()
                try await second.provider.remove(other, keepingData: false)
            }
            #expect(try await first.provider.sandbox(of: id)?.status == .running)
            let life = "until [ -s /.data/agent/life ]; do sleep 0.01; done; cat /.data/agent/life"
            #expect(try await first.output(of: life, in: id) == "began")
        }
    }

    @Test func `the engine's death, absence and return are survived`() async throws {
        let engine = try await DockerEngine.start()
        defer { engine.end() }
        try await DockerFixture.with(engine: engine) { fixture in
            var changes = fixture.provider.changes().makeAsyncIterator()
            let id = try await fixture.run()
            while let status = await status(&changes), status != .running {}
            _ = try await fixture.output(of: "echo precious >/.data/agent/file", in: id)
            try await engine.kill()
            let problem = await fixture.provider.problem { $0 != nil }
            #expect(problem?.reason.hasPrefix("no Docker Engine answers at /tmp/") == true)
            let error = await #expect(throws: SandboxError.self) { _ = try await fixture.provider.sandbox(of: id) }
            #expect(error?.code == .unavailable)
            try await engine.restart()
            #expect(await fixture.provider.problem() == nil)
            // Engines end their containers when they come back, unless they are told otherwise.
            #expect(await status(&changes) == .stopped)
            try await fixture.provider.start(id)
            #expect(await status(&changes) == .running)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: id) == "precious")
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `many rounds leave nothing behind`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            // More of them take a second each.
            let rounds = ProcessInfo.processInfo.environment["DISCOBOT_DOCKER_ROUNDS"].flatMap { Int($0) } ?? 5
            for _ in 1...max(1, rounds) {
                let id = try await fixture.run(network: .internet)
                try await fixture.provider.remove(id, keepingData: false)
            }
            try await fixture.provider.removeCache(of: "local")
            #expect(try await fixture.leftovers().isEmpty)
        }
    }
}
