// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Dispatch
import Foundation
import HTTPTypes
import Synchronization
import Testing

/// Sessions whose image is missing, on its way, or another one than before.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerImageChatTests {
    private func with(
        _ image: String,
        host: String? = nil,
        engine: DockerEngine? = nil,
        _ body: (ChatFixture, DockerEngine) async throws -> Void
    ) async throws {
        let engine = if let engine { engine } else { try await DockerEngine.shared() }
        let setting = ChatFixture.Setting(
            provider: .docker,
            environment: ["DOCKER_HOST": host ?? engine.host, "SANDBOX_IMAGE": image]
        )
        try await ChatFixture.with(setting) { try await body($0, engine) }
    }

    private func status(_ session: String, _ fixture: ChatFixture) async throws -> String? {
        try await fixture.client.get("/api/projects/local/sessions/\(session)").json["status"].string
    }

    /// Gives the tests' image another name, with a variable of its own.
    private func build(_ image: String, version: Int, _ engine: DockerEngine) async throws {
        try await Shell.run(
            #"""
            container=$(docker -H "$0" create "$1" true)
            docker -H "$0" commit --change "ENV VERSION=$3" "$container" "$2"
            docker -H "$0" rm "$container"
            """#,
            engine.host,
            DockerEngine.image,
            image,
            String(version)
        )
    }

    @Test func `an image that was rebuilt replaces sandboxes, with their data and never in mid-turn`() async throws {
        let image = "discobot-local/rebuilt-\(UUID().uuidString.prefix(8).lowercased()):1"
        try await build(image, version: 1, try await DockerEngine.shared())
        try await with(image) { fixture, engine in
            let idle = fixture.newSession()
            let busy = fixture.newSession()
            let script = "echo kept > file; echo $VERSION"
            #expect(try await fixture.talk(script, in: idle).text == "1\n")
            #expect(try await fixture.talk(script, in: busy).text == "1\n")
            let progress = Progress { $0.type == "text-delta" }
            let waiting = "echo begun; until [ -e go ]; do sleep 0.05; done; echo over"
            async let answer = fixture.talk(waiting, in: busy, progress: progress)
            await progress.reach(1)
            try await build(image, version: 2, engine)
            try await fixture.restartServer()
            _ = try await fixture.client.session(idle, becoming: ["stopped"])
            #expect(try await status(busy, fixture) != "stopped")
            try await fixture.run("touch go", besides: busy)
            let whole = try await answer
            try await whole.expectWhole()
            #expect(whole.text == "begun\nover\n")
            #expect(whole.types.last == "finish")
            _ = try await fixture.client.session(busy, becoming: ["stopped"])
            for session in [idle, busy] {
                #expect(try await fixture.talk("cat file; echo $VERSION", in: session).text == "kept\n2\n")
            }
            try await fixture.restartServer()
            #expect(try await fixture.talk("echo $VERSION", in: idle).text == "2\n")
        }
        try await DockerEngine.shared().docker("rmi", "-f", image)
    }

    @Test func `an engine that has been away may have kept sandboxes of an earlier image, which are replaced`()
        async throws
    {
        let engine = try await DockerEngine.start(
            prepare: """
                mkdir -p /etc/docker; mount -t tmpfs none /etc/docker
                echo '{"live-restore":true}' >/etc/docker/daemon.json
                """
        )
        defer { engine.end() }
        let image = "discobot-local/rebuilt:1"
        try await build(image, version: 1, engine)
        try await with(image, engine: engine) { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo kept > file; echo $VERSION", in: session).text == "1\n")
            try await build(image, version: 2, engine)
            // That alone is no reason to stop anything.
            #expect(try await fixture.talk("echo $VERSION", in: session).text == "1\n")
            try await engine.kill()
            var log = ""
            while !log.contains("the sandboxes' engine does not answer") {
                log = try String(contentsOfFile: fixture.directory.file("server.log"), encoding: .utf8)
                try await Task.sleep(for: .milliseconds(20))
            }
            try await engine.restart()
            _ = try await fixture.client.session(session, becoming: ["stopped"])
            #expect(try await fixture.talk("cat file; echo $VERSION", in: session).text == "kept\n2\n")
        }
    }

    @Test func `a session that waits for its image says so, and how far that is`() async throws {
        let engine = try await DockerEngine.shared()
        let image = "registry.test/\(UUID().uuidString.prefix(8).lowercased()):1"
        try await engine.docker("tag", DockerEngine.image, image)
        let isPulled = Mutex(false)
        let pulls = Mutex((now: 0, most: 0))
        let end = DispatchSemaphore(value: 0)
        defer { end.signal() }
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                if request.hasPrefix("POST /images/create") {
                    return .live { write in
                        let line = #"{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":40}}"#
                        pulls.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                        write(StubDockerEngine.streamHead + line + "\n")
                        // A session that asks for it just after the end need not wait.
                        end.wait()
                        end.signal()
                        pulls.withLock { $0.now -= 1 }
                        isPulled.withLock { $0 = true }
                    }
                }
                guard request == "GET /images/\(image)/json", !isPulled.withLock({ $0 }) else { return nil }
                return .json(404, #"{"message":"no such image"}"#)
            }
            defer { stub.close() }
            try await with(image, host: "unix://\(stub.path)") { fixture, _ in
                let session = fixture.newSession()
                async let answer = fixture.talk("echo there", in: session)
                _ = try await fixture.client.session(session, becoming: ["pulling_image"])
                let told: JSON = try await fixture.client.follow("/api/projects/local/events?after=0") { event in
                    event.data["data"]["bytesDownloaded"].int == 10 ? event.data["data"] : nil
                }
                #expect(told["id"].string == "docker-pull")
                #expect(told["totalBytes"].int == 40)
                end.signal()
                #expect(try await answer.text == "there\n")
                #expect(pulls.withLock { $0.most } == 1)
            }
        }
        try await engine.docker("rmi", image)
    }

    @Test(arguments: [
        ("discobot-local/absent:1", ["discobot-local/absent:1", "./dev image"]),
        ("127.0.0.1:9/absent:1", ["127.0.0.1:9/absent:1", "connection refused", "Let the engine reach 127.0.0.1:9"]),
        ("registry.invalid/absent:1", ["registry.invalid/absent:1", "Let the engine reach registry.invalid"]),
    ])
    func `a session whose image cannot be had says why`(image: String, parts: [String]) async throws {
        try await with(image) { fixture, _ in
            let session = fixture.newSession()
            let answer = try await fixture.talk("echo x", in: session)
            let status = try await fixture.client.session(session, becoming: ["error"])
            for part in parts {
                #expect(answer.error?.contains(part) == true, "\(answer.error ?? "")")
                #expect(status["errorMessage"].string?.contains(part) == true)
            }
        }
    }

    @Test func `a session whose image needs a login says so, and runs it once there is one`() async throws {
        let engine = try await DockerEngine.shared()
        let (wrong, right) = ("tester:wrong-battery", "tester:correct-horse")
        try await TestRegistry.with(engine, login: right) { registry in
            let setting = ChatFixture.Setting(provider: .docker, environment: ["SANDBOX_IMAGE": registry.image])
            try await ChatFixture.with(setting) { directory in
                try registry.logIn(wrong, in: directory)
                return ["DOCKER_CONFIG": directory.path]
            } _: { fixture in
                let session = fixture.newSession()
                let answer = try await fixture.talk("echo never", in: session)
                let row = try await fixture.client.session(session, becoming: ["error"])
                let message = row["errorMessage"].string ?? ""
                for part in [registry.image, "docker login \(registry.host)"] {
                    #expect(message.contains(part), "\(message)")
                    #expect(answer.error?.contains(part) == true, "\(answer.error ?? "")")
                }
                try registry.logIn(right, in: fixture.directory)
                // A pull that began before is waited for, and refused.
                var text = ""
                while text != "yes\n" { text = try await fixture.talk("echo $PULLED", in: session).text }
                let events = try await fixture.client.send(
                    .get,
                    "/api/projects/local/events?limit=1000&after=0",
                    headers: ["Accept": "application/json"]
                )
                let told = try fixture.log + events.text
                for login in [wrong, right] {
                    let encoded = Data(login.utf8).base64EncodedString()
                    for secret in [encoded, String(login.dropFirst("tester:".count))] {
                        #expect(!told.contains(secret))
                    }
                }
            }
            try await engine.docker("rmi", "-f", registry.image)
        }
    }

    @Test func `a session whose image is refused says why`() async throws {
        let engine = try await DockerEngine.shared()
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                guard request.hasPrefix("POST /images/create") else { return nil }
                return .json(500, #"{"message":"Head \"https://registry.test/v2/a\": no basic auth credentials"}"#)
            }
            defer { stub.close() }
            try await with("registry.test/a:1", host: "unix://\(stub.path)") { fixture, _ in
                let session = fixture.newSession()
                _ = try await fixture.talk("echo x", in: session)
                let message = try await fixture.client.session(session, becoming: ["error"])["errorMessage"].string
                for part in ["registry.test/a:1", "no basic auth credentials", "docker login registry.test"] {
                    #expect(message?.contains(part) == true, "\(message ?? "")")
                }
            }
        }
    }
}
