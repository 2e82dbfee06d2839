// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Services and hooks of a session, over the server.
@Suite(.timeLimit(.minutes(10)))
struct SessionProgramsTests {
    private static let makeServices = """
        mkdir -p .discobot/services .discobot/hooks
        printf '#!/bin/sh\\n#---\\n# name: Ticker\\n# http: 8080\\n#---\\necho up; exec sleep 1000\\n' > .discobot/services/tick.sh
        printf '#!/bin/sh\\ntrap "" TERM; echo on; while :; do sleep 1000; done\\n' > .discobot/services/deaf.sh
        printf -- '---\\nhttp: 9000\\n---\\n' > .discobot/services/ext
        printf '#!/bin/sh\\n#---\\n# type: session\\n#---\\necho hook ran; exit 2\\n' > .discobot/hooks/setup.sh
        chmod +x .discobot/*/*.sh
        """

    private struct Enough: Error {}

    @Test(arguments: SessionProvider.allCases)
    func `services are listed, started, followed and stopped, and outlive the server`(
        provider: SessionProvider
    ) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.makeServices, in: session)
            let path = "/api/projects/local/sessions/\(session)/services"
            let listed = try await fixture.client.get(path).json["services"].list
            #expect(Set(listed.map { $0["id"].string }) == ["tick", "ext", "deaf"])
            #expect(listed.first?["status"].string == "stopped")
            #expect(listed.first?["http"].int == 8080)
            let started = try await fixture.client.post("\(path)/tick/start", "")
            #expect(started.status == 202)
            #expect(started.json["status"].string == "starting")
            #expect(started.json["serviceId"].string == "tick")
            #expect(try await fixture.client.post("\(path)/tick/start", "").status == 409)
            #expect(try await fixture.client.post("\(path)/deaf/start", "").status == 202)
            #expect(try await fixture.client.post("\(path)/ext/start", "").status == 400)
            #expect(try await fixture.client.post("\(path)/no/start", "").status == 404)
            #expect(try await fixture.client.get("/api/projects/local/sessions/unknown/services").status == 404)
            try await fixture.restartServer()
            try await eventually {
                try await fixture.client.get(path).json["services"].list.first?["status"].string == "running"
            }
            let up = try await fixture.client.stream("\(path)/tick/output") { $0.contains("up") }
            #expect(up.contains(#""type":"stdout","data":"up\n""#))
            let stopped = try await fixture.client.post("\(path)/tick/stop", "")
            #expect(stopped.status == 200)
            #expect(stopped.json["status"].string == "stopped")
            #expect(try await fixture.client.post("\(path)/tick/stop", "").status == 400)
            let whole = try await fixture.client.stream("\(path)/tick/output") { _ in false }
            // On a busy machine it is killed before it has ended by itself.
            #expect(whole.contains(#""exitCode":143"#) || whole.contains(#""exitCode":137"#))
            #expect(whole.hasSuffix("data: [DONE]\n\n"))
            _ = try await fixture.client.stream("\(path)/deaf/output") { $0.contains("on") }
            #expect(try await fixture.client.post("\(path)/deaf/stop", "").status == 200)
            let killed = try await fixture.client.stream("\(path)/deaf/output") { _ in false }
            #expect(killed.contains(#""exitCode":137"#))
            let unknown = try await fixture.client.stream("\(path)/no/output") { _ in false }
            #expect(unknown.contains(#""type":"error""#))
            #expect(unknown.hasSuffix("data: [DONE]\n\n"))
            #expect(
                try await fixture.client.get("/api/projects/local/sessions/unknown/services/tick/output").status == 404
            )
        }
    }

    @Test
    func `asking for the head of an output leaves nobody reading it`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.makeServices, in: session)
            let path = "/api/projects/local/sessions/\(session)/services"
            #expect(try await fixture.client.post("\(path)/tick/start", "").status == 202)
            // More than there may be connections to a runtime at once.
            for _ in 0..<20 {
                let head = try await fixture.client.send(.head, "\(path)/tick/output")
                #expect(head.status == 200)
                #expect(head.headers["content-type"] == "text/event-stream")
            }
            #expect(try await fixture.client.get(path).status == 200)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `hooks are shown, run again, and their output can be had`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.makeServices, in: session)
            let path = "/api/projects/local/sessions/\(session)/hooks"
            let before = try await fixture.client.get("\(path)/status").json
            #expect(before["hooks"]["setup"]["type"].string == "session")
            let run = try await fixture.client.post("\(path)/setup/rerun", "")
            #expect(run.status == 200)
            #expect(run.json["success"].bool == false)
            #expect(run.json["exitCode"].int == 2)
            let status = try await fixture.client.get("\(path)/status").json["hooks"]["setup"]
            #expect(status["lastResult"].string == "failure")
            #expect(status["runCount"].int == 1)
            #expect(try await fixture.client.get("\(path)/setup/output").json["output"].string == "hook ran\n")
            let file = try await fixture.client.get("\(path)/setup/output/download")
            #expect(file.text == "hook ran\n")
            #expect(file.headers["content-disposition"]?.hasPrefix("attachment") == true)
            #expect(try await fixture.client.post("\(path)/no/rerun", "").status == 404)
            #expect(try await fixture.client.get("\(path)/no/output").status == 404)
        }
    }
}
