// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// Sandboxes that run out of something: the session says what has happened, and can be used again.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerFaultTests {
    private func with(
        environment: [String: String] = [:],
        _ body: (ChatFixture, DockerEngine) async throws -> Void
    ) async throws {
        try await ChatFixture.with(.init(provider: .docker, environment: environment)) { fixture in
            try await body(fixture, try #require(fixture.engine))
        }
    }

    private func limit(_ limits: String, _ fixture: ChatFixture) async throws {
        let path = "/api/projects/local/workspaces/\(fixture.workspace)"
        let answer = try await fixture.client.put(path, #"{"limits":\#(limits)}"#)
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test func `the limits of a workspace are those of its sandboxes`() async throws {
        try await with(environment: ["SANDBOX_MEMORY_MB": "512", "SANDBOX_PROCESSES": "200"]) { fixture, engine in
            func inspect(_ session: String) async throws -> String {
                let host =
                    "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}} {{.HostConfig.ShmSize}}"
                return try await engine.docker("inspect", "--format", host, "discobot-session-\(session)")
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }
            let first = fixture.newSession()
            #expect(try await fixture.talk("echo x", in: first).text == "x\n")
            #expect(try await inspect(first) == "536870912 200 0 134217728")
            try await limit(#"{"memoryMb":256,"processes":0,"cpus":0.5,"shmMb":32}"#, fixture)
            let second = fixture.newSession()
            #expect(try await fixture.talk("echo x", in: second).text == "x\n")
            let own = try await inspect(second)
            #expect(own.replacing("<no value>", with: "0") == "268435456 0 500000000 33554432", "\(own)")
        }
    }

    @Test func `a program that takes more memory than there is ends its turn, and says why`() async throws {
        try await with { fixture, _ in
            try await limit(#"{"memoryMb":128}"#, fixture)
            let session = fixture.newSession()
            let answer = try await fixture.talk("echo begun; tail /dev/zero; echo \"code $?\"", in: session)
            let told = answer.text + (answer.error ?? "")
            #expect(told.contains("begun") && (told.contains("code 137") || told.contains("memory")), "\(told)")
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
        }
    }

    @Test func `a program that takes more processes than there are is told so`() async throws {
        try await with { fixture, _ in
            try await limit(#"{"processes":64}"#, fixture)
            let session = fixture.newSession()
            let script = "sh -c 'for i in $(seq 200); do sleep 100 & done' 2>&1; echo over"
            let answer = try await fixture.talk(script, in: session)
            let told = answer.text + (answer.error ?? "")
            #expect(told.lowercased().contains("fork"), "\(told)")
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
        }
    }

    @Test func `a disk that is full is said, and usable again once there is room`() async throws {
        try await with { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo x", in: session).text == "x\n")
            let server = try String(
                contentsOfFile: fixture.directory.file("\(fixture.sandboxes)/server"),
                encoding: .utf8
            )
            let disk = try await engine.mountMemory("disk-\(session)", megabytes: 8)
            try await Shell.run(
                #"""
                docker -H "$0" rm -f "discobot-session-$3"
                docker -H "$0" volume rm "discobot-data-$3"
                docker -H "$0" volume create --opt type=none --opt o=bind --opt device="$1" --label discobot.server="$2" \
                    --label discobot.managed=true --label discobot.type=data --label discobot.session.id="$3" \
                    --label discobot.project.id=local "discobot-data-$3"
                """#,
                engine.host,
                disk,
                server.trimmingCharacters(in: .whitespacesAndNewlines),
                session
            )
            #expect(try await fixture.talk("echo x", in: session).text == "x\n")
            let full = try await fixture.talk("head -c 20000000 /dev/zero 2>&1 >big; echo code $?", in: session)
            func isSaid(_ answer: ChatAnswer) -> Bool {
                let told = answer.text + (answer.error ?? "")
                return told.lowercased().contains("no space left") || told.contains("full")
            }
            #expect(isSaid(full), "\(full.text) \(full.error ?? "")")
            // What is left of the last block may be enough for it.
            let next = try await fixture.talk("echo next", in: session)
            #expect(next.hasEnded)
            #expect(next.text == "next\n" || isSaid(next), "\(next.text) \(next.error ?? "")")
            let script = "rm $(find /.data -name big)"
            try await engine.docker("exec", "-u", "1000", "discobot-session-\(session)", "sh", "-c", script)
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
        }
    }

    @Test func `a limit of the disk that the engine cannot keep is said`() async throws {
        try await with { fixture, engine in
            try await limit(#"{"diskMb":100}"#, fixture)
            let session = fixture.newSession()
            let answer = try await fixture.talk("echo x", in: session)
            guard answer.text != "x\n" else {
                // This engine can keep it.
                let format = "{{json .Options}}"
                let options = try await engine.docker(
                    "volume",
                    "inspect",
                    "--format",
                    format,
                    "discobot-data-\(session)"
                )
                return #expect(options.contains(#""size":"100m""#), "\(options)")
            }
            let message = try await fixture.client.session(session, becoming: ["error"])["errorMessage"].string
            #expect(message?.contains("cannot limit the disk") == true, "\(message ?? "")")
            #expect(message?.contains("limits.diskMb") == true)
            try await limit("null", fixture)
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
        }
    }

    @Test(arguments: [("kill", "-KILL"), ("kill", "-TERM"), ("stop", "")])
    func `a sandbox that somebody ends is stopped, and starts with its next message`(verb: String, signal: String)
        async throws
    {
        try await with { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo kept >file; echo x", in: session).text == "x\n")
            let name = "discobot-session-\(session)"
            if signal.isEmpty {
                try await engine.docker(verb, name)
            } else {
                try await engine.docker(verb, "--signal", String(signal.dropFirst()), name)
            }
            let stopped = try await fixture.client.session(session, becoming: ["stopped", "error"])
            #expect(stopped["status"].string == "stopped")
            #expect(stopped["errorMessage"].string == nil)
            #expect(try await fixture.talk("cat file", in: session).text == "kept\n")
        }
    }

    @Test(arguments: [
        ("echo no luck >&2; exit 1", "Sandbox failed: exited with code 1: no luck"),
        ("exec tail /dev/zero", "Sandbox failed: ran out of memory"),
    ])
    func `a session whose sandbox failed while no server was there says why, and is usable`(
        script: String,
        message: String
    ) async throws {
        try await with { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo kept >file; echo x", in: session).text == "x\n")
            fixture.server.kill()
            let name = "discobot-session-\(session)"
            let server = try await engine.docker(
                "inspect",
                "--format",
                #"{{index .Config.Labels "discobot.server"}}"#,
                name
            )
            try await engine.docker("rm", "-f", name)
            let labels = ["server=\(server.trimmingCharacters(in: .whitespacesAndNewlines))", "session.id=\(session)"]
            // The runtime itself does not fail at will.
            try await Shell.run(
                #"""
                docker -H "$0" run -d --memory 64m --memory-swap 64m --name "$1" --label "discobot.$2" --label "discobot.$3" \
                    --label discobot.project.id=local "$4" sh -c "$5"
                docker -H "$0" wait "$1"
                """#,
                engine.host,
                name,
                labels[0],
                labels[1],
                DockerEngine.image,
                script
            )
            try await fixture.startServer()
            let failed = try await fixture.client.session(session, becoming: ["stopped", "error"])
            #expect(failed["errorMessage"].string == message)
            #expect(try await fixture.talk("cat file", in: session).text == "kept\n")
        }
    }
}
