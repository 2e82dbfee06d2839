// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// Services of a runtime as a process.
@Suite(.timeLimit(.minutes(10)))
struct AgentServicesTests {
    /// A number that no other process sleeps for.
    private func seconds() -> String { "1\(Int.random(in: 100_000...999_999))" }

    @Test
    func `a service is started once, tells what it writes, and is stopped`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            #expect(try await client.services() == [])
            let script =
                "#!/bin/sh\n#---\n# name: Web\n# http: 3456\n#---\necho port $PORT in $PWD; echo bad >&2; sleep 1000"
            try addProgram("services/web.sh", script, in: directory)
            #expect(try await client.service("web").status == .stopped)
            let starts = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask { await code { _ = try await client.startService("web") } == nil }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(starts == 1)
            try await eventually { try await client.service("web").status == .running }
            let service = try await client.service("web")
            #expect(service.http == 3456)
            #expect(service.name == "Web")
            #expect(service.pid.map { kill(Int32($0), 0) } == 0)
            #expect(service.startedAt != nil)
            let frames = try await client.serviceFrames("web", until: "stdout")
            #expect(data(of: frames) == "port 3456 in \(directory.file("data/workspace"))\n")
            #expect(await code { _ = try await client.startService("web") } == .refused(status: 409))
            #expect(try await client.stopService("web") == ServiceResponse(status: .stopped, serviceId: "web"))
            let stopped = try await client.service("web")
            #expect(stopped.status == .stopped)
            #expect(stopped.exitCode == 143)
            #expect(stopped.pid == nil)
            let all = try await client.serviceFrames("web")
            #expect(data(of: all, type: "stderr") == "bad\n")
            #expect(all.last?.contains(#""type":"exit","exitCode":143"#) == true)
            #expect(await code { _ = try await client.stopService("web") } == .refused(status: 400))
            for call in [client.startService, client.stopService] {
                #expect(await code { _ = try await call("no") } == .refused(status: 404))
            }
            #expect(await code { _ = try await client.serviceFrames("no") } == .refused(status: 404))
        }
    }

    @Test
    func `output is replayed after an id, and a new run begins anew`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            try addProgram(
                "services/say.sh",
                "#!/bin/sh\nfor i in 1 2 3; do echo $i; sleep 0.05; done; exit 3",
                in: directory
            )
            _ = try await client.startService("say")
            let all = try await client.serviceFrames("say")
            #expect(data(of: all) == "1\n2\n3\n")
            let first = try #require(all.first { $0.hasPrefix("id: ") }?.dropFirst(4).prefix { $0 != "\n" })
            let rest = try await client.serviceFrames("say", after: String(first))
            #expect(rest == Array(all.filter { $0.hasPrefix("id: ") }.dropFirst()))
            #expect(try await client.service("say").exitCode == 3)
            _ = try await client.startService("say")
            let again = try await client.serviceFrames("say", after: String(first))
            #expect(data(of: again) == "1\n2\n3\n")
            for odd in ["x", "-1", "\(first.split(separator: "-")[0])-99999999999999999999", "a-b-c"] {
                #expect(try await data(of: client.serviceFrames("say", after: odd)) == "1\n2\n3\n")
            }
        }
    }

    @Test
    func `what a service sends into the background belongs to it, wherever it went`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            let number = seconds()
            let script = """
                #!/bin/sh
                (setsid sleep \(number) >/dev/null 2>&1 </dev/null &)
                setsid sh -c 'trap "" HUP; sleep \(number)' &
                exit 0
                """
            try addProgram("services/daemon.sh", script, in: directory)
            _ = try await client.startService("daemon")
            try await eventually { processes(mentioning: "sleep\0\(number)") == 2 }
            // A turn that ends takes its own processes along, and no others.
            try await runtime.start("true", completion: "c")
            _ = try await runtime.chunks(of: "c")
            #expect(processes(mentioning: "sleep\0\(number)") == 2)
            #expect(try await client.service("daemon").status == .running)
            _ = try await client.stopService("daemon")
            #expect(processes(mentioning: number) == 0)
        }
    }

    @Test
    func `a service that ignores being asked is killed, with all that it has started`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            let number = seconds()
            let script =
                "#!/bin/sh\ntrap '' TERM; setsid sh -c 'trap \"\" TERM; sleep \(number)' & echo on; sleep \(number); sleep \(number)"
            try addProgram("services/deaf.sh", script, in: directory)
            _ = try await client.startService("deaf")
            _ = try await client.serviceFrames("deaf", until: "on")
            _ = try await client.stopService("deaf")
            #expect(processes(mentioning: number) == 0)
            #expect(try await client.service("deaf").status == .stopped)
            _ = try await client.startService("deaf")
            _ = try await client.stopService("deaf")
            #expect(processes(mentioning: number) == 0)
        }
    }

    @Test
    func `a flood is bounded and holds nobody up`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            try addProgram("services/flood.sh", "#!/bin/sh\nyes 0123456789", in: directory)
            try addProgram("services/binary.sh", "#!/bin/sh\nhead -c 300000 /dev/urandom", in: directory)
            _ = try await client.startService("flood")
            _ = try await client.startService("binary")
            let binary = try await client.serviceFrames("binary")
            #expect(binary.last?.contains(#""exitCode":0"#) == true)
            #expect(try await client.health().healthy)
            _ = try await client.serviceFrames("flood", until: "0123456789")
            _ = try await client.stopService("flood")
            let kept = try await client.serviceFrames("flood")
            let size = kept.reduce(0) { $0 + $1.utf8.count }
            #expect(size > 1000)
            #expect(size < 2 << 20)
            #expect(kept.last?.contains("exit") == true)
        }
    }

    @Test
    func `a service gets no secret, and what cannot be started says why`() async throws {
        let secret = ["DISCOBOT_TEST_KEY": "k3y-value"]
        try await AgentRuntimeProcess.with(environment: secret) { (runtime, directory) async throws in
            let client = runtime.client
            try addProgram("services/env.sh", "#!/bin/sh\nenv; cat /proc/$PPID/environ | head -c 0", in: directory)
            try addProgram("services/passive", "---\nhttp: 9\n---\n", in: directory)
            try addProgram("services/lost.sh", "#!/no/such/interpreter\n", in: directory)
            _ = try await client.startService("env")
            let environment = data(of: try await client.serviceFrames("env"))
            #expect(environment.contains("DISCOBOT_SESSION_ID=s1\n"))
            #expect(environment.contains("HOME=\(directory.file("data/home"))\n"))
            for word in ["k3y-value", "DISCOBOT_SECRET", "DISCOBOT_SOCKET", AgentRuntimeProcess.secret.value] {
                #expect(!environment.contains(word))
            }
            #expect(try await client.service("passive").passive == true)
            #expect(await code { _ = try await client.startService("passive") } == .refused(status: 400))
            _ = try await client.startService("lost")
            let frames = try await client.serviceFrames("lost")
            #expect(frames.contains { $0.contains(#""type":"error""#) })
            #expect(try await client.service("lost").exitCode == 127)
        }
    }

    @Test
    func `services end with the runtime, also when it is killed`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            let runtime = try await AgentRuntimeProcess(in: directory)
            let number = seconds()
            try addProgram("services/long.sh", "#!/bin/sh\ntrap '' TERM\nsleep \(number)", in: directory)
            _ = try await runtime.client.startService("long")
            try await eventually { processes(mentioning: "sleep\0\(number)") == 1 }
            await runtime.terminate()
            #expect(processes(mentioning: number) == 0)
            let second = try await AgentRuntimeProcess(in: directory)
            #expect(try await second.client.service("long").status == .stopped)
            _ = try await second.client.startService("long")
            try await eventually { processes(mentioning: "sleep\0\(number)") == 1 }
            second.kill()
            let third = try await AgentRuntimeProcess(in: directory)
            defer { third.kill() }
            #expect(processes(mentioning: number) == 0)
        }
    }

    @Test
    func `a request starts a service that has ended by itself, and none that was stopped`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let client = runtime.client
            let port = try ServerProcess.freePort()
            let fields = "#!/bin/sh\n#---\n# http: \(port)\n#---\n"
            try addProgram("services/web.sh", fields + "sleep 1000", in: directory)
            try addProgram("services/brief.sh", fields + "exit 3", in: directory)
            let ask = { (service: String) async throws -> String in
                try await Shell.run(
                    "curl -s --unix-socket $0 -H \"Authorization: Bearer $1\" http://agent/services/$2/http/x",
                    runtime.socket,
                    AgentRuntimeProcess.secret.value,
                    service
                )
            }
            let first = try await ask("web")
            #expect(first.contains("connection_refused"), "\(first)")
            try await eventually { try await client.service("web").status == .running }
            _ = try await client.stopService("web")
            #expect(try await ask("web").contains("service_stopped"))
            #expect(try await client.service("web").status == .stopped)
            _ = try await client.startService("web")
            #expect(try await ask("web").contains("connection_refused"))
            _ = try await client.stopService("web")
            // Not at once, so that one that ends again and again keeps nobody busy.
            _ = try await ask("brief")
            try await eventually { try await client.service("brief").exitCode == 3 }
            let frames = try await client.serviceFrames("brief")
            try await eventually {
                _ = try await ask("brief")
                return try await client.serviceFrames("brief") != frames
            }
        }
    }

    @Test
    func `the runtime passes requests on to a service by itself`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let port = try ServerProcess.freePort()
            let server = """
                import http.server, os
                class Handler(http.server.SimpleHTTPRequestHandler):
                    def do_GET(self):
                        open("\(directory.file("seen"))", "a").write(str(self.headers["Authorization"]))
                        super().do_GET()
                http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
                """
            try directory.write(server, to: "server.py")
            let script =
                "#!/bin/sh\n#---\n# http: \(port)\n#---\nexec /usr/bin/python3 \(directory.file("server.py"))\n"
            try addProgram("services/files.sh", script, in: directory)
            let curl = """
                for i in $(seq 200); do
                    curl -s --unix-socket "$0" -H "Authorization: Bearer $1" http://agent/services/files/http/$2 >"$3" &&
                        ! grep -q connection_refused "$3" && break
                    sleep 0.05
                done
                cat "$3"
                """
            let arguments = (runtime.socket, AgentRuntimeProcess.secret.value, "file?x", directory.file("answer"))
            let answer = try await Shell.run(curl, arguments.0, arguments.1, arguments.2, arguments.3)
            #expect(answer == "one\n")
            // The runtime's secret is not for what agents write.
            #expect(try String(contentsOfFile: directory.file("seen"), encoding: .utf8) == "None")
            let open = try await Shell.run(
                "curl -s --unix-socket $0 http://agent/services/files/http/file",
                runtime.socket
            )
            #expect(open.contains("Authorization header required"))
            #expect(try await runtime.client.service("files").status == .running)
        }
    }
}
