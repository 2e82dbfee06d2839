// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// How the server gets to the agents in containers.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerPassageTests {
    /// Starts a sandbox of a repository and waits until its agent answers.
    private func agent(
        of id: ID<Session>,
        _ fixture: DockerFixture,
        network: SandboxSpecification.Network = .internet
    ) async throws -> AgentClient {
        let secret = AgentSecret.random()
        let repository =
            fixture.directory.exists("repository")
            ? fixture.directory.file("repository")
            : try await fixture.directory.makeRepository()
        try await fixture.provider.create(
            SandboxSpecification(
                sessionID: id,
                projectID: "local",
                workspaceID: "workspace",
                workspacePath: repository,
                workspaceSource: repository,
                workspaceCommit: nil,
                secretVerifier: secret.verifier(),
                network: network
            )
        )
        try await fixture.provider.start(id)
        let agent = AgentClient(endpoint: try await fixture.provider.endpoint(of: id), secret: secret)
        var health: AgentHealth?
        while health?.connected != true {
            health = try? await agent.health()
            #expect(health?.error == nil)
            let sandbox = try #require(try await fixture.provider.sandbox(of: id))
            try #require(sandbox.status == .running, "\(sandbox.error ?? "")")
            try await Task.sleep(for: .milliseconds(20))
        }
        return agent
    }

    @Test func `where sockets stay with the engine, a port of this machine leads to the agent`() async throws {
        try await FarEngine.with { far in
            try await DockerFixture.with(engine: far.engine) {
                $0.command = nil
                $0.agentBinary = AgentRuntimeProcess.executable
                $0.root = far.directory + "/sandboxes"
            } _: { fixture in
                #expect(await fixture.provider.problem() == nil)
                let agent = try await agent(of: "far", fixture)
                guard case .tcp("127.0.0.1", let port) = try await fixture.provider.endpoint(of: "far") else {
                    _ = Issue.record("not a port")
                    return
                }
                #expect(try await agent.user().uid == 1000)
                #expect(try await fixture.inspect("far", "{{json .HostConfig.PortBindings}}").contains("127.0.0.1"))
                let mounts = try await fixture.inspect("far", "{{range .Mounts}}{{.Destination}} {{end}}")
                #expect(!mounts.contains("/run/discobot"))
                // Others on this machine get there, and no further.
                let stranger = AgentClient(endpoint: .tcp(host: "127.0.0.1", port: port), secret: .random())
                let error = await #expect(throws: AgentError.self) { _ = try await stranger.user() }
                #expect(error?.code == .refused(status: 401))
                // Another port may be given then.
                try await fixture.provider.stop("far")
                try await fixture.provider.start("far")
                guard case .tcp = try await fixture.provider.endpoint(of: "far") else {
                    _ = Issue.record("not a port")
                    return
                }
                let refusal = await #expect(throws: SandboxError.self) {
                    _ = try await self.agent(of: "none", fixture, network: .none)
                }
                #expect(refusal?.message.contains("give the workspace the network internet") == true)
                try await fixture.provider.remove("far", keepingData: false)
                #expect(try await far.engine.docker("ps", "-aq") == "")
            }
        }
    }

    @Test func `an image that brings its own agent API is used as it is`() async throws {
        try await FarEngine.with { far in
            let image = try await far.engine.makeAgentImage()
            try await DockerFixture.with(engine: far.engine) {
                $0.command = nil
                $0.agentBinary = AgentRuntimeProcess.executable
                $0.image = image
            } _: { fixture in
                #expect(await fixture.provider.problem() == nil)
                let agent = try await agent(of: "own", fixture)
                #expect(try await agent.user().uid == 4242)
                let expected = [
                    "{{json .Config.Entrypoint}}": #"["/opt/own-agent"]"#, "{{.Config.User}}": "own",
                    "{{json .HostConfig.CapDrop}}": #"["ALL"]"#, "{{.HostConfig.ReadonlyRootfs}}": "false",
                    "{{json .HostConfig.SecurityOpt}}": #"["no-new-privileges"]"#,
                    "{{range .Mounts}}{{.Destination}} {{end}}": "/.data /.data/cache /.workspace ",
                ]
                for (template, value) in expected {
                    let found = try await fixture.inspect("own", template)
                    #expect(Set(found.split(separator: " ")) == Set(value.split(separator: " ")), "\(template)")
                }
                let environment = try await fixture.output(of: "env", in: "own").split(separator: "\n").map(String.init)
                for line in [
                    "SESSION_ID=own", "WORKSPACE_PATH=/.workspace", "DISCOBOT_PROJECT_ID=local", "PORT=3002",
                    "HOME=/home/own",
                ] { #expect(environment.contains(line), "\(line)") }
                let refusal = await #expect(throws: SandboxError.self) {
                    _ = try await self.agent(of: "none", fixture, network: .none)
                }
                #expect(refusal?.message.contains("the image brings its own agent API") == true)
            }
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `on this machine a socket does, found once and for all`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) {
            $0.command = nil
            $0.agentBinary = AgentRuntimeProcess.executable
        } _: { fixture in
            #expect(await fixture.provider.problem() == nil)
            let agent = try await agent(of: "near", fixture, network: .none)
            #expect(try await agent.user().username == "agent")
            guard case .sandboxSocket(let socket) = try await fixture.provider.endpoint(of: "near") else {
                _ = Issue.record("not a socket")
                return
            }
            #expect(fixture.directory.exists("sandboxes/passage"))
            #expect(try await fixture.provider.outdatedSandboxes().isEmpty)
            let path = URL(filePath: socket.path)
            let names = [path.deletingPathExtension().lastPathComponent, path.lastPathComponent]
            #expect(try fixture.directory.contents("sandboxes/run") == names)
        }
    }

    @Test func `an image without glibc is said, and not tried again and again`() async throws {
        let engine = try await DockerEngine.shared()
        let image = "discobot-local/empty:1"
        try await Shell.run(#"tar -cT /dev/null | docker -H "$0" import - "$1""#, engine.host, image)
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { _ in nil }
            defer { stub.close() }
            try await DockerFixture.with(engine: engine) {
                $0.address = .unix(path: stub.path)
                $0.image = image
                $0.command = nil
                $0.agentBinary = AgentRuntimeProcess.executable
            } _: { fixture in
                // It is not known yet when the first answers are given.
                let isFound = { (problem: ProviderState.Problem?) in problem?.reason.contains("glibc") == true }
                let problem = await fixture.provider.problem(until: isFound)
                #expect(isFound(problem), "\(problem?.reason ?? "")")
                #expect(problem?.remedy.contains("SANDBOX_IMAGE") == true, "\(problem?.remedy ?? "")")
                let count = stub.requests.filter { $0.contains("/containers/create?") }.count
                #expect(count == 1)
                let again = await fixture.provider.problem { $0 == problem }
                #expect(again == problem)
                #expect(stub.requests.filter { $0.contains("/containers/create?") }.count == count)
            }
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `the next server need not try how sandboxes are reached`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { _ in nil }
            defer { stub.close() }
            func configure(_ configuration: inout DockerSandboxProvider.Configuration) {
                configuration.address = .unix(path: stub.path)
                configuration.command = nil
                configuration.agentBinary = AgentRuntimeProcess.executable
            }
            try await DockerFixture.with(engine: engine, configure: configure) { fixture in
                _ = try await fixture.run()
                let count = stub.requests.filter { $0.contains("/containers/create?") }.count
                let next = try await ProviderKind.docker(fixture.directory, engine: engine, configure: configure)
                #expect(await next.problem() == nil)
                #expect(stub.requests.filter { $0.contains("/containers/create?") }.count == count)
            }
        }
    }

    @Test func `an engine that does not see this machine's files is not available`() async throws {
        let engine = try await DockerEngine.start(prepare: "mount -t tmpfs none /var/tmp")
        defer { engine.end() }
        let root = "/var/tmp/discobot-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try await DockerFixture.with(engine: engine) {
            $0.command = nil
            $0.agentBinary = AgentRuntimeProcess.executable
            $0.root = root
        } _: { (fixture) async throws in
            let problem = await fixture.provider.problem { $0?.remedy.contains("sees its files") == true }
            #expect(problem?.reason.contains("bind source path does not exist") == true, "\(problem?.reason ?? "")")
            #expect(problem?.remedy.contains("sees its files") == true)
            #expect(try await engine.docker("ps", "-aq") == "")
        }
    }

    @Test func `a runtime that the engine does not have is named with those that it has`() async throws {
        try await DockerFixture.with {
            $0.runtime = "runsc"
        } _: { fixture in
            let problem = await fixture.provider.problem { $0?.reason.contains("no runtime runsc") == true }
            #expect(problem?.reason.contains("runc") == true, "\(problem?.reason ?? "")")
            #expect(problem?.remedy.contains("SANDBOX_RUNTIME") == true)
        }
    }
}

extension DockerEngine {
    /// An image that serves the agent API by itself, as a user of its own.
    fileprivate func makeAgentImage() async throws -> String {
        let image = "discobot-local/own-agent:1"
        let binary = AgentRuntimeProcess.executable
        try await Shell.run(
            #"""
            work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
            container=$(docker -H "$0" create "$1" true)
            docker -H "$0" export "$container" | tar --extract --directory "$work"
            docker -H "$0" rm "$container"
            mkdir -p "$work/opt" "$work/home/own"
            cp "$3" "$work/opt/own-agent"
            echo own:x:4242:4242::/home/own:/bin/sh >>"$work/etc/passwd"
            chown 4242:4242 "$work/home/own"
            ldd "$3" | grep -o '=> /[^ ]*' | cut -c 4- | while read -r library; do
                mkdir -p "$work$(dirname "$library")"; cp -n "$library" "$work$library"
            done
            tar --create --numeric-owner --directory "$work" . |
                docker -H "$0" import --change 'ENTRYPOINT ["/opt/own-agent"]' --change 'USER own' \
                    --change 'LABEL io.discobot.agent=true' --change 'ENV HOME=/home/own DISCOBOT_DATA_DIR=/.data/agent' \
                    --change 'ENV GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*' \
                    - "$2"
            """#,
            host,
            Self.image,
            image,
            binary
        )
        return image
    }
}
