// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

/// The images that sandboxes are made of.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerPreparedTests {
    private static let kinds: [DockerEngine.Kind] = [.docker, .podman]

    /// Makes an image of the tests' own, with settings as in a Dockerfile.
    private func build(_ image: String, _ changes: [String], on engine: DockerEngine) async throws {
        let flags = changes.map { "--change '\($0)'" }.joined(separator: " ")
        try await Shell.run(
            #"""
            container=$(docker -H "$0" create "$1" true)
            docker -H "$0" export "$container" | docker -H "$0" import \#(flags) - "$2"
            docker -H "$0" rm "$container"
            """#,
            engine.host,
            DockerEngine.image,
            image
        )
    }

    private func newName() -> String { "discobot-local/base-\(UUID().uuidString.prefix(8).lowercased()):1" }

    private static let everybody = SandboxOwners { _ in
        true
    } hasProject: { _ in
        true
    }

    @Test(arguments: kinds)
    func `many first sandboxes have it made once`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { _ in nil }
            defer { stub.close() }
            try await DockerFixture.with(engine: engine) {
                $0.address = .unix(path: stub.path)
            } _: { fixture in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 1...20 { group.addTask { _ = try await fixture.run() } }
                    try await group.waitForAll()
                }
                #expect(try await fixture.preparedImages.count == 1)
                #expect(stub.requests.filter { $0.contains("/commit?") }.count == 1)
            }
        }
    }

    @Test(arguments: kinds)
    func `it is the image of the settings, with the sandbox's user and places`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        let image = newName()
        let changes = [
            "ENV OWN=kept", #"LABEL own.label=kept"#, "USER 7:7", "WORKDIR /usr", #"CMD ["sleep","1000"]"#,
        ]
        try await build(image, changes, on: engine)
        try await DockerFixture.with(engine: engine) {
            $0.image = image
        } _: { fixture in
            let id = try await fixture.run()
            #expect(try await fixture.provider.sandbox(of: id)?.image == image)
            #expect(try await fixture.provider.outdatedSandboxes().isEmpty)
            #expect(try await fixture.output(of: "echo $OWN; id -un; id -un root", in: id) == "kept\nagent\nroot")
            #expect(try await fixture.inspect(id, #"{{index .Config.Labels "own.label"}}"#) == "kept")
            #expect(try await fixture.inspect(id, #"{{index .Config.Labels "discobot.type"}}"#) == "sandbox")
            #expect(try await fixture.inspect(id, #"{{index .Config.Labels "discobot.image"}}"#) == image)
            let name = try #require(try await fixture.preparedImages.first)
            let user = try await engine.docker("image", "inspect", "--format", "{{.Config.User}}", name)
            #expect(user == "7:7\n")
        }
        try await engine.docker("rmi", "-f", image)
    }

    @Test(arguments: kinds)
    func `one that somebody has removed is made again`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            try await fixture.provider.remove(id, keepingData: true)
            try await fixture.removePrepared()
            #expect(try await fixture.preparedImages.isEmpty)
            _ = try await fixture.run(id)
            #expect(try await fixture.preparedImages.count == 1)
        }
    }

    @Test(arguments: kinds)
    func `those of earlier images go as soon as no sandbox has them`(kind: DockerEngine.Kind) async throws {
        let engine = try await DockerEngine.shared(kind)
        let image = newName()
        try await build(image, ["ENV VERSION=1"], on: engine)
        try await DockerFixture.with(engine: engine) {
            $0.image = image
        } _: { fixture in
            let old = try await fixture.run()
            let first = try await fixture.preparedImages
            try await build(image, ["ENV VERSION=2"], on: engine)
            #expect(try await fixture.provider.outdatedSandboxes() == [old])
            let new = try await fixture.run()
            #expect(try await fixture.output(of: "echo $VERSION", in: old) == "1")
            #expect(try await fixture.output(of: "echo $VERSION", in: new) == "2")
            #expect(try await fixture.provider.outdatedSandboxes() == [old])
            try await fixture.provider.removeLeftovers(Self.everybody)
            // The earlier one is still in use.
            #expect(try await Set(fixture.preparedImages).isSuperset(of: first))
            #expect(try await fixture.preparedImages.count == 2)
            try await fixture.provider.stop(old)
            _ = try await fixture.run(old)
            #expect(try await fixture.output(of: "echo $VERSION", in: old) == "2")
            try await fixture.provider.removeLeftovers(Self.everybody)
            #expect(try await Set(fixture.preparedImages).isDisjoint(with: first))
            #expect(try await fixture.preparedImages.count == 1)
            // Without a sandbox of it, the next one takes its place at once.
            for id in [old, new] { try await fixture.provider.remove(id, keepingData: false) }
            try await build(image, ["ENV VERSION=3"], on: engine)
            _ = try await fixture.run()
            #expect(try await fixture.preparedImages.count == 1)
        }
        try await engine.docker("rmi", "-f", image)
    }

    @Test func `what keeps it from being made is said, and nothing is left`() async throws {
        let engine = try await DockerEngine.shared()
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                request.hasPrefix("POST /commit") ? .json(500, #"{"message":"no space left on device"}"#) : nil
            }
            defer { stub.close() }
            try await DockerFixture.with(engine: engine) {
                $0.address = .unix(path: stub.path)
            } _: { fixture in
                let id = ID<Session>.random()
                let error = await #expect(throws: SandboxError.self) { try await fixture.create(id) }
                #expect(
                    error?.message
                        == "the image \(DockerEngine.image) could not be prepared for sandboxes: no space left on device"
                )
                try await fixture.provider.remove(id, keepingData: false)
            }
        }
    }

    @Test(arguments: kinds, ["/.data", "/.data/agent"])
    func `a volume of the image where data would be is said`(kind: DockerEngine.Kind, path: String) async throws {
        let engine = try await DockerEngine.shared(kind)
        let image = newName()
        try await build(image, ["VOLUME \(path)"], on: engine)
        try await DockerFixture.with(engine: engine) {
            $0.image = image
        } _: { fixture in
            let id = ID<Session>.random()
            let error = await #expect(throws: SandboxError.self) { try await fixture.create(id) }
            #expect(error?.code == .invalidImage)
            #expect(error?.message.contains("has a volume in /.data") == true)
            try await fixture.provider.remove(id, keepingData: false)
        }
        try await engine.docker("rmi", "-f", image)
    }

    @Test func `where the engine has other users, the sandbox's user can write all the same`() async throws {
        let engine = try await DockerEngine.start(
            prepare: #"""
                for name in nobody nogroup; do echo "$name:100000:65536" >>"$directory/ids"; done
                touch /etc/subuid /etc/subgid; mkdir -p /etc/docker
                for file in subuid subgid; do mount --bind "$directory/ids" "/etc/$file"; done
                mount -t tmpfs none /etc/docker
                echo '{"userns-remap":"nobody:nogroup"}' >/etc/docker/daemon.json
                """#
        )
        defer { engine.end() }
        try await DockerFixture.with(engine: engine) { fixture in
            #expect(try await fixture.provider.client.info().isRemapped)
            let id = try await fixture.run()
            for path in ["/.data/agent", "$HOME", "/.data/cache", "/run/discobot"] {
                #expect(try await fixture.output(of: "touch \(path)/x && echo yes", in: id) == "yes", "\(path)")
            }
            #expect(try await fixture.output(of: "id -u; id -un; stat -c %u $HOME", in: id) == "1000\nagent\n1000")
        }
    }

    @Test(arguments: kinds)
    func `a stopped sandbox goes on as it is, unless it would be made otherwise`(kind: DockerEngine.Kind) async throws {
        try await DockerFixture.with(engine: try await DockerEngine.shared(kind)) { fixture in
            let id = try await fixture.run()
            _ = try await fixture.output(of: "echo precious >/.data/agent/file; echo x >/tmp/file", in: id)
            let container = try await fixture.inspect(id, "{{.Id}}")
            try await fixture.provider.stop(id)
            _ = try await fixture.run(id)
            #expect(try await fixture.inspect(id, "{{.Id}}") == container)
            #expect(try await fixture.output(of: "cat /.data/agent/file; ls /tmp", in: id) == "precious")
            try await fixture.provider.stop(id)
            _ = try await fixture.run(id, limits: .init(processes: 77))
            #expect(try await fixture.inspect(id, "{{.HostConfig.PidsLimit}}") == "77")
            #expect(try await fixture.inspect(id, "{{.Id}}") != container)
            // One that did not end in order gets another chance with nothing of the old one.
            let second = try await fixture.inspect(id, "{{.Id}}")
            _ = try? await fixture.output(of: "kill -SEGV -1", in: id)
            for await change in fixture.provider.changes() where change.sandbox?.status == .failed { break }
            _ = try await fixture.run(id, limits: .init(processes: 77))
            #expect(try await fixture.inspect(id, "{{.Id}}") != second)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: id) == "precious")
        }
    }

    @Test func `one that cannot start again is made anew by the next attempt`() async throws {
        try await DockerFixture.with { fixture in
            let id = try await fixture.run(network: .internet)
            _ = try await fixture.output(of: "echo precious >/.data/agent/file", in: id)
            try await fixture.provider.stop(id)
            // A container remembers its network.
            let network = try #require(try await fixture.listed("network").first)
            try await fixture.engine.docker("network", "rm", network)
            await #expect(throws: SandboxError.self) { _ = try await fixture.run(id, network: .internet) }
            _ = try await fixture.run(id, network: .internet)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: id) == "precious")
        }
    }

    @Test func `a container of a server that knew nothing of this is used, and replaced with its data`() async throws {
        try await DockerFixture.with { fixture in
            let id = try await fixture.run()
            _ = try await fixture.output(of: "echo precious >/.data/agent/file", in: id)
            try await fixture.engine.docker("rm", "-f", DockerFixture.container(id))
            try await Shell.run(
                #"""
                docker -H "$0" create --name "$1" --label "discobot.server=$2" --label "discobot.session.id=$3" \
                    --label discobot.project.id=local --user 1000:1000 --init --network none --read-only \
                    --volume "discobot-data-$3:/.data" "$4" sleep 1000
                """#,
                fixture.engine.host,
                DockerFixture.container(id),
                try await fixture.server,
                id.rawValue,
                DockerEngine.image
            )
            try await fixture.provider.start(id)
            let sandbox = try #require(try await fixture.provider.sandbox(of: id))
            #expect(sandbox.status == .running)
            #expect(sandbox.image == DockerEngine.image)
            #expect(try await fixture.provider.outdatedSandboxes().isEmpty)
            let container = try await fixture.inspect(id, "{{.Id}}")
            try await fixture.provider.stop(id)
            _ = try await fixture.run(id)
            #expect(try await fixture.inspect(id, "{{.Id}}") != container)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: id) == "precious")
        }
    }
}
