// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Logging
import Testing

@testable import DiscobotSandbox

/// What sandboxes with a network reach of the machine that the engine runs on.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct DockerFirewallTests {
    /// A machine behind the engine's, with an address of the internet and the one of clouds' metadata, each of which has
    /// something on port 9418, as has the engine's machine. Prints what is to be ended.
    private static let surroundings = #"""
        exec 2>/dev/null
        # Ends by itself where nobody is left to end it.
        listen="exec timeout 900 $(git --exec-path)/git-daemon --reuseaddr --base-path=/tmp"
        unshare --net sh -c "ip link set lo up; $listen" >/dev/null & far=$!
        until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
        ip link add near type veth peer name far netns $far
        ip addr add 192.0.2.1/24 dev near; ip link set near up
        nsenter --net=/proc/$far/ns/net sh -c 'ip addr add 192.0.2.2/24 dev far; ip link set far up
            ip addr add 198.51.100.1/32 dev lo; ip addr add 169.254.169.254/32 dev lo'
        ip route add 198.51.100.1 via 192.0.2.2; ip route add 169.254.169.254 via 192.0.2.2
        sh -c "$listen" >/dev/null &
        echo $far $!
        """#

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `sandboxes reach the internet, and nothing of this machine or its cloud`(kind: DockerEngine.Kind) async throws
    {
        let engine = try await DockerEngine.start(kind)
        defer { engine.end() }
        let processes = try await engine.onHost(Self.surroundings).split(whereSeparator: \.isWhitespace)
        defer { for process in processes.compactMap({ Int32($0) }) { kill(process, SIGTERM) } }
        try await DockerFixture.with(engine: engine) { fixture in
            let id = try await fixture.run(network: .internet)
            let gateway = try await fixture.inspect(id, "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
            let address = try await fixture.inspect(id, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
            let machine = [gateway, "192.0.2.1"]
            // Without the rules this machine is open, so that the addresses are the right ones.
            for place in machine + ["169.254.169.254", "198.51.100.1"] {
                _ = try await fixture.output(of: GitPort.waitUntilOpen(at: place), in: id)
            }
            let prefix = ["nsenter", "--net=\(try await engine.networkNamespace())"]
            for _ in 1...2 { #expect(try await DockerFirewall.close(prefix, isPodman: kind == .podman)) }
            for place in machine + ["169.254.169.254"] {
                #expect(try await fixture.output(of: GitPort.state(at: place), in: id) == "closed", "\(place)")
            }
            _ = try await fixture.output(of: GitPort.waitUntilOpen(at: "198.51.100.1"), in: id)
            // What this machine asks is answered.
            _ = try await fixture.output(of: GitPort.serve, in: id)
            try await engine.onHost(GitPort.waitUntilOpen(at: address))
            let rules = try await engine.onHost(
                "iptables -S INPUT; iptables -t raw -S PREROUTING; ip6tables -S INPUT; iptables -t mangle -S FORWARD"
            ).replacing("-i dsc-+ -o dsc-+", with: "-i dsc-+")
            let expected = DockerFirewall.rules(isPodman: kind == .podman).count
            #expect(rules.components(separatedBy: "dsc-+").count - 1 == expected)
            #expect(rules.contains("--dport 53 ") == (kind == .podman))
        }
    }

    @Test func `sandboxes of Podman stay apart when another one stops`() async throws {
        let engine = try await DockerEngine.start(.podman)
        defer { engine.end() }
        try await DockerFixture.with(engine: engine) { fixture in
            let server = try await fixture.run(network: .internet)
            let other = try await fixture.run(network: .internet)
            let address = try await fixture.inspect(server, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
            _ = try await fixture.output(of: GitPort.serve, in: server)
            try await engine.onHost(GitPort.waitUntilOpen(at: address))
            #expect(try await fixture.output(of: GitPort.state(at: address), in: other) == "closed")
            try await fixture.provider.stop(try await fixture.run(network: .internet))
            // Without the rules it is open now.
            _ = try await fixture.output(of: GitPort.waitUntilOpen(at: address), in: other)
            let prefix = ["nsenter", "--net=\(try await engine.networkNamespace())"]
            #expect(try await DockerFirewall.close(prefix, isPodman: true))
            #expect(try await fixture.output(of: GitPort.state(at: address), in: other) == "closed")
            try await fixture.provider.stop(try await fixture.run(network: .internet))
            #expect(try await fixture.output(of: GitPort.state(at: address), in: other) == "closed")
        }
    }

    /// A command that runs others in an engine's network, also when that is another process than before.
    private func entry(to engine: DockerEngine, in directory: TemporaryDirectory) throws -> [String] {
        let mark = String(engine.host.dropFirst("unix://".count))
        let script = #"exec nsenter --net="/proc/$(pgrep -o -f -- "[-]-host unix://\#(mark)")/ns/net" "$@""#
        try directory.write(script + "\n", to: "enter")
        return ["sh", directory.file("enter")]
    }

    @Test func `the rules are set before the first sandbox runs, and again when the machine has lost them`()
        async throws
    {
        let engine = try await DockerEngine.start()
        defer { engine.end() }
        func rules() async throws -> Int {
            try await engine.onHost("iptables -S INPUT; iptables -t raw -S PREROUTING; ip6tables -S INPUT")
                .components(separatedBy: "dsc-+").count - 1
        }
        try await TemporaryDirectory.with { directory in
            let command = try entry(to: engine, in: directory)
            try await DockerFixture.with(engine: engine) {
                $0.networkCommand = command
            } _: { fixture in
                _ = try await fixture.run(network: .internet)
                #expect(try await rules() == DockerFirewall.rules(isPodman: false).count)
                try await engine.onHost("iptables -F INPUT; iptables -t raw -F PREROUTING; ip6tables -F INPUT")
                try await engine.kill()
                try await engine.restart()
                while try await rules() < DockerFirewall.rules(isPodman: false).count {
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }
    }

    @Test func `rules that cannot be set are said once, and the sandbox runs`() async throws {
        let recorder = LogRecorder()
        try await DockerFixture.with(logger: Logger(label: "test", factory: { _ in recorder })) {
            $0.networkCommand = ["false"]
        } _: { fixture in
            for _ in 1...2 {
                let id = try await fixture.run(network: .internet)
                #expect(try await fixture.provider.sandbox(of: id)?.status == .running)
            }
        }
        let lines = recorder.texts
        #expect(lines.count == 1)
        #expect(lines.first?.contains("the rules of the firewall could not be set") == true)
    }

    @Test(arguments: [
        ("{}", "unix:///run/docker.sock", ["lo", "docker0"], true),
        ("{}", "unix:///run/docker.sock", ["lo", "dsc-0123456789a"], true),
        ("{}", "tcp://127.0.0.1", ["docker0"], true), ("{}", "tcp://engine.test", ["docker0"], false),
        ("{}", "unix:///run/docker.sock", ["lo", "podman0"], false),
        (#"{"BuildahVersion":"1"}"#, "unix:///run/podman.sock", ["lo", "podman1"], true),
        (#"{"SecurityOptions":["name=rootless"]}"#, "unix:///run/docker.sock", ["docker0"], false),
    ])
    func `this machine is open to engines that have their networks on it`(
        info: String,
        host: String,
        interfaces: [String],
        isOpen: Bool
    ) throws {
        let engine = try JSONDecoder().decode(DockerInfo.self, from: Data(info.utf8))
        let address = try #require(DockerAddress(host: host))
        #expect(DockerFirewall.isOpen(to: engine, at: address, interfaces: interfaces) == isOpen)
    }
}
