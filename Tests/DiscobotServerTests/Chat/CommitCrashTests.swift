// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// A server that is killed while commits are on their way.
@Suite(.timeLimit(.minutes(20)))
struct CommitCrashTests {
    /// Of the git process that the job runs when the server is killed.
    enum Step: String, CaseIterable {
        case look = "rev-parse", quarantine = "init", take = "index-pack", measure = "--objects", move = "rebase"
        case adopt = "fetch", check = "update-index", land = "merge", tidy = "-d"
    }

    struct Kill: CustomTestStringConvertible {
        let step: Step
        /// Whether the git process dies with the server.
        let isWhole: Bool
        var provider = SessionProvider.local

        var testDescription: String { "\(step), \(isWhole ? "with git" : "without git"), \(provider)" }
    }

    static let kills =
        Step.allCases.flatMap { [Kill(step: $0, isWhole: true), Kill(step: $0, isWhole: false)] }
        // Those around which the sandbox is asked for something.
        + [
            Kill(step: .look, isWhole: false, provider: .docker), Kill(step: .take, isWhole: true, provider: .docker),
            Kill(step: .land, isWhole: true, provider: .docker), Kill(step: .tidy, isWhole: false, provider: .docker),
        ]

    @Test(arguments: kills)
    func `a kill at any step ends in the same state, once`(kill: Kill) async throws {
        let step = kill.step
        try await ChatFixture.with(.init(provider: kill.provider), prepare: HeldGit.install) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commits(3), in: session)
            try await fixture.git(
                "config user.name T; git config user.email t@x; git commit -q --allow-empty -m own; echo l > local"
            )
            try HeldGit.hold(step.rawValue, fixture)
            let path = "/api/projects/local/sessions/\(session)/commit"
            async let posted = fixture.client.post(path, "")
            if step == .look {
                // The request itself looks first.
                try await HeldGit.waitUntilAsked(fixture)
                try HeldGit.release(fixture)
                #expect(try await posted.status == 200)
            } else {
                #expect(try await posted.status == 200)
                try await HeldGit.waitUntilAsked(fixture)
            }
            fixture.server.kill()
            if kill.isWhole {
                try await Shell.run(
                    "for p in $(cat \"$0\"); do kill -9 $p 2>/dev/null || true; done",
                    fixture.directory.file("asked")
                )
            }
            try await fixture.startServer()
            if step != .look { try HeldGit.release(fixture) }
            try await expectLanded(session, ["own"], 3, fixture)
        }
    }

    @Test
    func `kills at random moments land commits once and keep local changes`() async throws {
        try await ChatFixture.with(.init(environment: ["JOB_MAX_ATTEMPTS": "100"])) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commits(60), in: session)
            try await fixture.git(
                "config user.name T; git config user.email t@x; git commit -q --allow-empty -m own; echo l > local"
            )
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            for _ in 0..<8 {
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...250)))
                try await fixture.restartServer()
            }
            try await expectLanded(session, ["own"], 60, fixture)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a kill while the agent commits lands what it has committed`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(
                "mkdir -p .git/hooks; printf '#!/bin/sh\\necho >begun; until [ -e go ]; do sleep 0.05; done; rm begun go\\n' > .git/hooks/post-commit; chmod +x .git/hooks/post-commit; echo x > x",
                in: session
            )
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            let files = "/api/projects/local/sessions/\(session)/files"
            try await eventually {
                try await fixture.client.get("\(files)/read?path=begun").status == 200
            }
            #expect(
                try await fixture.client.get("/api/projects/local/sessions/\(session)").json["commitStatus"].string
                    == "committing"
            )
            try await fixture.restartServer()
            #expect(try await fixture.client.put("\(files)/write", #"{"path":"go","content":""}"#).status == 200)
            let done = try await fixture.committed(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            #expect(try await fixture.git("rev-list --count HEAD; cat x") == "2\nx")
            #expect(try await fixture.messages(of: session).count == 4)
        }
    }

    private static func commits(_ count: Int) -> String {
        "for i in $(seq \(count)); do echo $i > f$i; git add .; git -c user.name=A -c user.email=a@x commit -qm \"c $i\"; done"
    }

    /// Checks that the commits are there once, that nothing else has changed, and that the end was told once.
    private func expectLanded(_ session: String, _ own: [String], _ count: Int, _ fixture: ChatFixture) async throws {
        let done = try await fixture.committed(session)
        #expect(done["commitStatus"].string == "completed", "\(done)")
        #expect(try await done["appliedCommit"].string == fixture.git("rev-parse HEAD"))
        let expected = (1...count).reversed().map { "c \($0)" } + own + ["First"]
        #expect(try await fixture.git("log --format=%s") == expected.joined(separator: "\n"))
        #expect(try await fixture.git("status --porcelain") == "?? local")
        #expect(try await fixture.git("for-each-ref refs/discobot/landing; ls .git | grep -c lock || true") == "0")
        let events = try await fixture.client.send(
            .get,
            "/api/projects/local/events?limit=1000&after=0",
            headers: ["Accept": "application/json"]
        ).json["events"].list
        let completed = events.filter {
            $0["data"]["sessionId"].string == session && $0["data"]["commitStatus"].string == "completed"
        }
        #expect(completed.count == 1)
        #expect(events.filter { $0["data"]["jobType"].string == "session_commit" }.count == 1)
        #expect(!fixture.directory.exists("data/workspaces/local/commits"))
    }
}
