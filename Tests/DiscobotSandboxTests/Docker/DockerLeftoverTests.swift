// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

@testable import DiscobotSandbox

/// What is removed, and what is not, besides the sandboxes themselves.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerLeftoverTests {
    /// Makes a volume as this provider's server would.
    private func makeVolume(_ name: String, _ labels: [String], _ fixture: DockerFixture) async throws {
        let flags = labels.map { "--label \($0)" }.joined(separator: " ")
        try await Shell.run(#"docker -H "$0" volume create \#(flags) "$1""#, fixture.engine.host, name)
    }

    private func names(_ fixture: DockerFixture, _ kind: String) async throws -> Set<String> {
        let listing =
            kind == "ps"
            ? try await fixture.engine.docker("ps", "-a", "--format", "{{.Names}}")
            : try await fixture.engine.docker(kind, "ls", "--format", "{{.Name}}")
        return Set(listing.split(separator: "\n").map { String($0) })
    }

    @Test func `what is left of sessions and projects that are gone is removed, and nothing else`() async throws {
        try await DockerFixture.with { fixture in
            let mark = "m" + UUID().uuidString.prefix(8).lowercased()
            let kept = try await fixture.run(ID(rawValue: "\(mark)-kept"))
            _ = try await fixture.output(of: "echo precious >/.data/agent/file", in: kept)
            try await fixture.provider.remove(kept, keepingData: true)
            let gone = try await fixture.run(ID(rawValue: "\(mark)-gone"), project: "other", network: .internet)
            let lost = try await fixture.run(ID(rawValue: "\(mark)-lost"), project: "other")
            try await fixture.engine.docker("rm", "-f", DockerFixture.container(lost))
            let server = "discobot.server=\(try await fixture.server)"
            try await makeVolume("\(mark)-strange", [server, "discobot.type=cache"], fixture)
            try await makeVolume("\(mark)-theirs", ["discobot.server=another", "discobot.session.id=gone"], fixture)
            try await makeVolume("\(mark)-plain", [], fixture)
            let owners = SandboxOwners {
                $0 == kept
            } hasProject: {
                $0 == "local"
            }
            try await fixture.provider.removeLeftovers(owners)
            #expect(try await names(fixture, "ps").allSatisfy { !$0.contains(mark) })
            let volumes = try await names(fixture, "volume").filter { $0.contains(mark) }
            #expect(volumes == ["discobot-data-\(kept)", "\(mark)-strange", "\(mark)-theirs", "\(mark)-plain"])
            #expect(try await fixture.provider.caches(of: "local")?.count == 1)
            #expect(try await fixture.provider.caches(of: "other") == [])
            #expect(try await fixture.listed("network") == [])
            #expect(try fixture.directory.contents("sandboxes/sessions") == [kept.rawValue])
            #expect(try await fixture.provider.sandbox(of: gone) == nil)
            _ = try await fixture.run(kept)
            #expect(try await fixture.output(of: "cat /.data/agent/file", in: kept) == "precious")
            for name in ["strange", "theirs", "plain"] {
                try await fixture.engine.docker("volume", "rm", "\(mark)-\(name)")
            }
        }
    }

    @Test func `a container that was looked into is removed, whoever left it`() async throws {
        try await DockerFixture.with { fixture in
            let id = try await fixture.run()
            let server = try await fixture.server
            let name = "discobot-look-\(server)"
            #expect(try await !names(fixture, "ps").contains(name))
            try await Shell.run(
                #"""
                docker -H "$0" create --name "$1" --label "discobot.server=$2" --label discobot.type=look "$3" true
                """#,
                fixture.engine.host,
                name,
                server,
                DockerEngine.image
            )
            #expect(try await !fixture.listed("ps").isEmpty)
            try await fixture.provider.removeLeftovers(
                SandboxOwners { _ in
                    true
                } hasProject: { _ in
                    true
                }
            )
            #expect(try await !names(fixture, "ps").contains(name))
            #expect(try await fixture.provider.sandbox(of: id)?.status == .running)
        }
    }

    /// What an engine is asked for while an image is looked into, to prepare it or to try how the runtime is reached.
    enum Moment: CaseIterable {
        case made, committed, madeForRuntime

        var request: String { self == .committed ? "POST /commit?" : "POST /containers/create?name=discobot-look-" }
    }

    @Test(arguments: Moment.allCases)
    func `a caller that gives up leaves no container that was looked into`(moment: Moment) async throws {
        let engine = try await DockerEngine.shared()
        let creation = Mutex<Task<Void, any Error>?>(nil)
        try await TemporaryDirectory.with { directory in
            // The engine has done what it was asked for, and the caller gives up before anybody hears of it.
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                guard request.hasPrefix(moment.request) else { return nil }
                return .real { creation.withLock { $0?.cancel() } }
            }
            defer { stub.close() }
            try await DockerFixture.with(engine: engine) {
                $0.address = .unix(path: stub.path)
                guard moment == .madeForRuntime else { return }
                $0.command = nil
                $0.agentBinary = AgentRuntimeProcess.executable
            } _: { fixture in
                let id = ID<Session>.random()
                // Nobody can cancel what is not there yet.
                let task = creation.withLock { creation in
                    let task = Task { try await fixture.create(id) }
                    creation = task
                    return task
                }
                await #expect(throws: CancellationError.self) { try await task.value }
                let name = "discobot-look-\(try await fixture.server)"
                // What has begun goes on to its end; nobody looks into another one meanwhile, which would remove it as well.
                let deadline = ContinuousClock.now + .seconds(240)
                while ContinuousClock.now < deadline, try await names(fixture, "ps").contains(name) {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(try await !names(fixture, "ps").contains(name))
                // And the next caller has what it was for.
                _ = try await fixture.run()
                #expect(stub.requests.filter { $0.contains("/commit?") }.count == 1)
                try await fixture.provider.remove(id, keepingData: false)
            }
        }
    }

    @Test func `a cache is removed although sandboxes that have ended had it, and their data stays`() async throws {
        try await DockerFixture.with { fixture in
            let first = try await fixture.run()
            let second = try await fixture.run()
            _ = try await fixture.output(of: "echo precious >/.data/agent/file; echo c >/.data/cache/file", in: first)
            try await fixture.provider.stop(first)
            let error = await #expect(throws: SandboxError.self) {
                try await fixture.provider.removeCache(of: "local")
            }
            #expect(error?.code == .inUse)
            #expect(try await fixture.provider.sandbox(of: first)?.status == .stopped)
            try await fixture.provider.stop(second)
            try await fixture.provider.removeCache(of: "local")
            #expect(try await fixture.provider.caches(of: "local") == [])
            _ = try await fixture.run(first)
            let files = try await fixture.output(of: "cat /.data/agent/file; ls /.data/cache", in: first)
            #expect(files == "precious")
            try await fixture.provider.remove(second, keepingData: false)
        }
    }

    @Test func `a cache is removed although a sandbox was made and never started`() async throws {
        try await DockerFixture.with { fixture in
            let id = ID<Session>.random()
            try await fixture.create(id)
            // Whoever has made it starts it next.
            let error = await #expect(throws: SandboxError.self) {
                try await fixture.provider.removeCache(of: "local")
            }
            #expect(error?.code == .inUse)
            let next = try await ProviderKind.docker(fixture.directory, engine: fixture.engine)
            try await next.removeCache(of: "local")
            #expect(try await fixture.provider.sandbox(of: id) == nil)
            try await fixture.create(id)
            try await fixture.provider.stop(id)
            try await fixture.provider.removeCache(of: "local")
            #expect(try await fixture.provider.caches(of: "local") == [])
            try await fixture.provider.remove(id, keepingData: false)
        }
    }

    @Test func `a project's network outlives a restart, and a stranger in it keeps nothing from being removed`()
        async throws
    {
        try await DockerFixture.with { fixture in
            let id = try await fixture.run(network: .internet)
            let networks = try await fixture.listed("network")
            #expect(networks.count == 1)
            _ = try await fixture.run(id, network: .internet)
            #expect(try await fixture.listed("network") == networks)
            let stranger = "stranger-" + UUID().uuidString.lowercased()
            try await fixture.engine.docker(
                "run",
                "-d",
                "--name",
                stranger,
                "--network",
                networks[0],
                DockerEngine.image,
                "sleep",
                "1000"
            )
            try await fixture.provider.remove(id, keepingData: false)
            try await fixture.provider.removeCache(of: "local")
            #expect(try await fixture.listed("network") == networks)
            try await fixture.engine.docker("rm", "-f", stranger)
            try await fixture.provider.removeLeftovers(
                SandboxOwners { _ in
                    true
                } hasProject: { _ in
                    true
                }
            )
            #expect(try await fixture.leftovers().isEmpty)
        }
    }
}
