// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What programs in a container cannot do, and what they find.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerIsolationTests {
    private static let kinds: [DockerEngine.Kind] = [.docker, .podman]

    @Test func `the engine confirms each protection`() async throws {
        try await DockerFixture.with { fixture in
            var limits = SandboxSpecification.Limits(memoryMegabytes: 128, processes: 100, fileMegabytes: 10)
            limits.cpus = 1
            let id = try await fixture.run(limits: limits)
            let expected = [
                "{{json .HostConfig.CapDrop}}": #"["ALL"]"#, "{{json .HostConfig.CapAdd}}": "null",
                "{{json .HostConfig.SecurityOpt}}": #"["no-new-privileges"]"#,
                "{{.HostConfig.Privileged}}": "false", "{{.HostConfig.Init}}": "true",
                "{{.HostConfig.ReadonlyRootfs}}": "true", "{{.HostConfig.NetworkMode}}": "none",
                "{{.HostConfig.IpcMode}}": "private", "{{.HostConfig.PidMode}}": "", "{{.HostConfig.PidsLimit}}": "100",
                "{{.HostConfig.Memory}}": "134217728", "{{.HostConfig.MemorySwap}}": "134217728",
                "{{.HostConfig.NanoCpus}}": "1000000000", "{{.HostConfig.ShmSize}}": "33554432",
                "{{.HostConfig.RestartPolicy.Name}}": "no", "{{.Config.User}}": "1000:1000",
                "{{len .HostConfig.PortBindings}}": "0",
            ]
            for (template, value) in expected {
                #expect(try await fixture.inspect(id, template) == value, "\(template)")
            }
            #expect(try await fixture.inspect(id, "{{json .Config.Labels}}").contains("hash") == false)
            let mounts = try await fixture.inspect(id, "{{range .Mounts}}{{.Destination}} {{.RW}}\n{{end}}")
            #expect(
                Set(mounts.split(separator: "\n").map { String($0) }) == [
                    "/.data true", "/.data/cache true", "/.workspace false", "/run/discobot true",
                ]
            )
        }
    }

    @Test(arguments: kinds)
    func `programs have no rights, and a user with a name`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            let status = try await fixture.output(
                of: "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | cut -f 2 | xargs",
                in: id
            )
            #expect(status == "0000000000000000 0000000000000000 0000000000000000 1 2")
            #expect(try await fixture.output(of: "id -u; whoami; id -gn", in: id) == "1000\nagent\nagent")
            #expect(try await fixture.output(of: "ulimit -c", in: id) == "0")
            #expect(try await fixture.output(of: "cat /proc/1/comm", in: id).hasSuffix("-init"))
        }
    }

    @Test(arguments: kinds)
    func `only its own places can be written`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            for path in ["/.data/agent", "$HOME", "/.data/cache", "/tmp", "/var/tmp", "/dev/shm", "/run/discobot"] {
                #expect(try await fixture.output(of: "touch \(path)/x && echo yes", in: id) == "yes", "\(path)")
            }
            // Podman gives a volume to the sandbox's user as a whole.
            for path in (kind == .podman ? [] : ["/.data"]) + [
                "/", "/.workspace", "/etc", "/usr", "/.discobot", "/run", "/proc/sys/kernel",
            ] {
                #expect(
                    try await fixture.output(of: "touch \(path)/x 2>/dev/null || echo no", in: id) == "no",
                    "\(path)"
                )
            }
        }
    }

    @Test func `the image's own environment stays, beside the runtime's`() async throws {
        try await DockerFixture.with { fixture in
            let id = try await fixture.run()
            let environment = try await fixture.output(of: "env", in: id).split(separator: "\n").map { String($0) }
            for line in [
                "IMAGE_VARIABLE=kept", "SESSION_ID=\(id)", "DISCOBOT_SECRET=salt:hash", "WORKSPACE_PATH=/.workspace",
                "DISCOBOT_DATA_DIR=/.data/agent", "DISCOBOT_SOCKET=/run/discobot/agent.sock", "HOME=/.data/agent/home",
                "USER=agent", "HOSTNAME=discobot",
            ] { #expect(environment.contains(line), "\(line)") }
        }
    }

    @Test(arguments: kinds)
    func `sandboxes do not reach each other, in one project or two`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        // By itself Podman keeps them apart only while no other one stops.
        let command = kind == .podman ? ["nsenter", "--net=\(try await engine.networkNamespace())"] : []
        try await DockerFixture.with(engine: engine) {
            $0.networkCommand = command
        } _: { fixture in
            let server = try await fixture.run(network: .internet)
            let sibling = try await fixture.run(network: .internet)
            let stranger = try await fixture.run(project: "other", network: .internet)
            let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            let address = try await fixture.inspect(server, template)
            #expect(address.contains("."))
            _ = try await fixture.output(of: GitPort.serve, in: server)
            // It does listen, and the host can see it.
            _ = try await fixture.output(of: GitPort.waitUntilOpen(at: address), in: server)
            try await fixture.engine.onHost(GitPort.waitUntilOpen(at: address))
            for other in [sibling, stranger] {
                let state = try await fixture.output(of: GitPort.state(at: address), in: other)
                #expect(state == "closed", "\(state)")
            }
        }
    }

    @Test(arguments: kinds)
    func `the network none has nothing but itself`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            #expect(try await fixture.output(of: "ls /sys/class/net | xargs", in: id) == "lo")
        }
    }

    @Test func `a network that the user has made is used as it is`() async throws {
        let engine = try await DockerEngine.shared()
        let name = "own-\(UUID().uuidString.prefix(8).lowercased())"
        try await engine.docker("network", "create", name)
        try await DockerFixture.with {
            $0.network = name
        } _: { fixture in
            let id = try await fixture.run(network: .internet)
            #expect(try await fixture.inspect(id, "{{.HostConfig.NetworkMode}}") == name)
        }
        try await engine.docker("network", "rm", name)
    }

    @Test func `without a cache there is none, and with a writable root that can be written by its owner only`()
        async throws
    {
        try await DockerFixture.with {
            $0.isCacheEnabled = false
            $0.isRootReadOnly = false
        } _: { fixture in
            let id = try await fixture.run()
            #expect(try await fixture.output(of: "[ -e /.data/cache ] || echo none", in: id) == "none")
            #expect(try await fixture.output(of: "touch /tmp/x && echo yes", in: id) == "yes")
            #expect(try await fixture.output(of: "touch /etc/x 2>/dev/null || echo no", in: id) == "no")
        }
    }

    @Test func `what is mounted below the workspace cannot be written, nor with an older engine`() async throws {
        let engine = try await DockerEngine.shared(.podman)
        let name = "below-\(UUID().uuidString.lowercased())"
        let mount = try await engine.mountMemory(name, megabytes: 1)
        try await DockerFixture.with(engine: engine) { fixture in
            let specification = SandboxSpecification(
                sessionID: "below",
                projectID: "local",
                workspaceID: "workspace",
                workspacePath: URL(filePath: mount).deletingLastPathComponent().path,
                workspaceSource: mount,
                workspaceCommit: nil,
                secretVerifier: "salt:hash",
                network: .none
            )
            try await fixture.provider.create(specification)
            try await fixture.provider.start("below")
            let script = "touch /.workspace/\(name)/file && echo written"
            #expect(try await fixture.output(of: script, in: "below").contains("Read-only file system"))
        }
    }
}
