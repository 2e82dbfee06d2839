// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// An engine that is away while the server has something to do with it.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerAbsenceTests {
    private func with(_ body: (ChatFixture, DockerEngine) async throws -> Void) async throws {
        let engine = try await DockerEngine.start()
        defer { engine.end() }
        try await ChatFixture.with(.init(provider: .docker, engine: engine)) { try await body($0, engine) }
    }

    private func volumes(_ engine: DockerEngine) async throws -> Set<String> {
        let listing = try await engine.docker("volume", "ls", "-q", "--filter", "label=discobot.managed=true")
        return Set(listing.split(separator: "\n").map { String($0) })
    }

    /// Another project with a session in a sandbox.
    private func makeProject(_ fixture: ChatFixture, session: String) async throws -> String {
        let answer = try await fixture.client.post("/api/projects", #"{"name":"Other"}"#)
        let project = try #require(answer.json["id"].string)
        let workspace = try await fixture.client.makeWorkspace(
            #"{"path":"\#(fixture.repository)","network":"internet","provider":"docker"}"#,
            project: project
        )
        let agent = try await fixture.client.makeAgent("shell", project: project)
        let message = TestClient.message(
            "echo x",
            session: session,
            workspace: workspace["id"].string,
            agent: agent
        )
        #expect(try await fixture.client.chat(message, project: project).text == "x\n")
        return project
    }

    @Test func `a project that is removed meanwhile leaves nothing once the engine is back`() async throws {
        try await with { fixture, engine in
            let kept = fixture.newSession()
            #expect(try await fixture.talk("echo precious > file; echo x", in: kept).text == "x\n")
            let gone = fixture.newSession()
            let project = try await makeProject(fixture, session: gone)
            try await engine.kill()
            let refusal = try await fixture.client.delete("/api/projects/\(project)/cache")
            #expect(refusal.status == 503)
            #expect(refusal.json["error"].string?.contains("no Docker Engine answers") == true)
            #expect(try await fixture.client.delete("/api/projects/\(project)").status == 200)
            // Nobody is left to ask for it but the next server, and the engine.
            try await fixture.restartServer()
            try await engine.restart()
            while try await volumes(engine) != ["discobot-data-\(kept)", "discobot-cache-local"] {
                try await Task.sleep(for: .milliseconds(20))
            }
            while try await !engine.docker("network", "ls", "-q", "--filter", "label=discobot.managed=true").isEmpty {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await fixture.talk("cat file", in: kept).text == "precious\n")
        }
    }

    @Test func `a session whose removal was given up meanwhile is gone once the engine is back`() async throws {
        try await with { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo x", in: session).text == "x\n")
            try await engine.kill()
            let path = "/api/projects/local/sessions/\(session)"
            #expect(try await fixture.client.delete(path).status == 200)
            let events = "/api/projects/local/events?after=0"
            let end: String = try await fixture.client.follow(events) { event in
                let job = event.data["data"]
                guard event.type == "job_completed", job["jobType"].string == "session_delete" else { return nil }
                return job["resourceId"].string == session ? job["status"].string : nil
            }
            #expect(end == "failed")
            #expect(try await fixture.client.get(path).json["status"].string == "removing")
            try await engine.restart()
            let _: Bool = try await fixture.client.follow(events) { _ in
                try await fixture.client.get(path).status == 404 ? true : nil
            }
            let name = "name=discobot-session-\(session)"
            #expect(try await engine.docker("ps", "-aq", "--filter", name).isEmpty)
            #expect(try await volumes(engine) == ["discobot-cache-local"])
        }
    }

    @Test func `a session whose container has gone meanwhile is stopped, whoever starts last`() async throws {
        try await with { fixture, engine in
            let session = fixture.newSession()
            #expect(try await fixture.talk("echo precious > file; echo x", in: session).text == "x\n")
            fixture.server.kill()
            try await engine.docker("rm", "-f", "discobot-session-\(session)")
            try await engine.kill()
            try await fixture.startServer()
            let path = "/api/projects/local/sessions/\(session)"
            #expect(try await fixture.client.get(path).json["status"].string == "ready")
            try await engine.restart()
            _ = try await fixture.client.session(session, becoming: ["stopped"])
            let log = try fixture.log
            #expect(log.contains("the sandboxes' engine does not answer"))
            let answer = try await fixture.talk("cat file", in: session)
            #expect(answer.text == "precious\n", "\(answer.error ?? "")")
        }
    }
}
