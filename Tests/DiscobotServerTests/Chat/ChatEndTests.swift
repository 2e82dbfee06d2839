// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import Testing

/// Answers that somebody ends.
@Suite(.timeLimit(.minutes(10)))
struct ChatEndTests {
    @Test
    func `a turn that is cancelled while it streams ends, with all that it ran`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            let script = "(setsid sleep 1000 &); trap '' TERM; " + ChatFixture.numbers(1000)
            async let answer = fixture.talk(script, in: session, progress: progress)
            await progress.reach(20)
            let cancelled = try await fixture.client.post("\(ChatFixture.chat)/\(session)/cancel", "{}")
            #expect(cancelled.status == 200)
            let whole = try await answer
            try await whole.expectNumbers(1000)
            #expect(whole.types.last == "abort")
            #expect(!SeenProcess.all.contains { $0.isOf(session: session) && $0.name == "sleep" })
            try await fixture.expectHistory(of: session, [whole])
        }
    }

    @Test
    func `a turn that is cancelled while its sandbox is made ends at once, and the sandbox serves the next`()
        async throws
    {
        try await ChatFixture.with(prepare: SlowBubblewrap.install) { fixture in
            let session = fixture.newSession()
            async let answer = fixture.talk("echo never", in: session)
            try await SlowBubblewrap.waitUntilAsked(fixture)
            let cancelled = try await fixture.client.post("\(ChatFixture.chat)/\(session)/cancel", "{}")
            #expect(cancelled.status == 200)
            let whole = try await answer
            try await whole.expectWhole()
            #expect(whole.types == ["start", "abort"])
            try SlowBubblewrap.release(fixture)
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
            #expect(try await fixture.messages(of: session).map { $0["role"].string } == ["user", "user", "assistant"])
        }
    }

    @Test
    func `a turn that is cancelled while nobody follows its agent keeps what the agent has said`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let script = "echo begun; touch begun; until [ -e go ]; do sleep 0.02; done; echo more; touch said; sleep 1000"
            async let answer = fixture.talk(script, in: session)
            let files = "data/sandboxes/sessions/\(session)/data/workspace"
            try await fixture.eventually { fixture.directory.exists("\(files)/begun") }
            fixture.server.kill()
            try fixture.directory.write("", to: "\(files)/go")
            try await fixture.eventually { fixture.directory.exists("\(files)/said") }
            try await fixture.withStore { store in
                try await store.write { transaction in
                    for turn in try transaction.openTurns(of: ID(rawValue: session)) { try transaction.requestCancel(turn.id) }
                }
            }
            try await fixture.startServer()
            let whole = try await answer
            try await whole.expectWhole()
            #expect(whole.text == "begun\nmore\n")
            #expect(whole.types.last == "abort")
            try await fixture.expectHistory(of: session, [whole])
        }
    }

    @Test(arguments: [false, true])
    func `a session that is deleted while its sandbox is made leaves nothing`(withWorkspace: Bool) async throws {
        try await ChatFixture.with(prepare: SlowBubblewrap.install) { fixture in
            let session = fixture.newSession()
            async let answer = fixture.client.chat(fixture.message("echo never", in: session))
            try await SlowBubblewrap.waitUntilAsked(fixture)
            if withWorkspace {
                _ = try await fixture.client.delete("/api/projects/local/workspaces/\(fixture.workspace)")
            } else {
                try await fixture.client.removeSession(session)
            }
            let end = try await answer
            #expect(end.isDone)
            #expect(end.text == "")
        }
    }

    @Test(arguments: [false, true])
    func `a session that is deleted while its agent works ends the stream and leaves nothing`(
        withWorkspace: Bool
    ) async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            let body = fixture.message(ChatFixture.numbers(1000), in: session)
            async let answer = fixture.client.chat(body) { part in
                progress.step(part.frames.last)
                return false
            }
            await progress.reach(20)
            if withWorkspace {
                _ = try await fixture.client.delete("/api/projects/local/workspaces/\(fixture.workspace)")
            } else {
                try await fixture.client.removeSession(session)
            }
            let end = try await answer
            #expect(end.isDone)
            #expect(!end.text.isEmpty && ChatFixture.printed(1000).hasPrefix(end.text))
            #expect(try await fixture.client.resume(session, after: end.lastID).status == 204)
            try await fixture.eventually { !fixture.directory.exists("data/sandboxes/sessions/\(session)") }
        }
    }
}

/// A bubblewrap that waits to be let go on.
enum SlowBubblewrap {
    static func install(_ directory: TemporaryDirectory) async throws -> [String: String] {
        try await Shell.run(
            #"""
            mkdir "$0/bin"
            cat >"$0/bin/bwrap" <<END
            #!/bin/sh
            [ "\$1" = --args ] || exec $(command -v bwrap) "\$@"
            echo >"$0/asked"
            while [ ! -e "$0/go" ]; do sleep 0.02; done
            exec $(command -v bwrap) "\$@"
            END
            chmod 755 "$0/bin/bwrap"
            """#,
            directory.path
        )
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return ["PATH": "\(directory.path)/bin:\(path)"]
    }

    static func waitUntilAsked(_ fixture: ChatFixture) async throws {
        try await fixture.eventually { fixture.directory.exists("asked") }
    }

    static func release(_ fixture: ChatFixture) throws {
        try fixture.directory.write("", to: "go")
    }
}

extension ChatFixture {
    /// Waits for what nobody tells; the suite's time limit ends it.
    func eventually(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }
}
