// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import Testing

/// Answers that somebody ends.
@Suite(.timeLimit(.minutes(20)))
struct ChatEndTests {
    @Test(arguments: SessionProvider.allCases)
    func `a turn that is cancelled while it streams ends, with all that it ran`(provider: SessionProvider) async throws
    {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            let script = "(setsid sleep 1000 &); trap '' TERM; " + ChatFixture.numbers(1000, pause: 100)
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

    @Test(arguments: SessionProvider.allCases)
    func `a turn that is cancelled while its sandbox is made ends at once, and the sandbox serves the next`(
        provider: SessionProvider
    ) async throws {
        try await SlowSandbox.with(provider) { fixture in
            let session = fixture.newSession()
            async let answer = fixture.talk("echo never", in: session)
            try await SlowSandbox.waitUntilAsked(fixture)
            let cancelled = try await fixture.client.post("\(ChatFixture.chat)/\(session)/cancel", "{}")
            #expect(cancelled.status == 200)
            let whole = try await answer
            try await whole.expectWhole()
            #expect(whole.types == ["start", "abort"])
            try SlowSandbox.release(fixture)
            #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
            #expect(try await fixture.messages(of: session).map { $0["role"].string } == ["user", "user", "assistant"])
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a turn that is cancelled while nobody follows its agent keeps what the agent has said`(
        provider: SessionProvider
    ) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let script =
                "echo begun; touch begun; until [ -e go ]; do sleep 0.02; done; echo more; touch said; sleep 1000"
            let progress = Progress { $0.type == "text-delta" }
            async let answer = fixture.talk(script, in: session, progress: progress)
            // From here on there is a working copy.
            await progress.reach(1)
            try await fixture.run("until [ -e begun ]; do sleep 0.02; done", besides: session)
            fixture.server.kill()
            try await fixture.run("touch go; until [ -e said ]; do sleep 0.02; done", besides: session)
            try await fixture.withStore { store in
                try await store.write { transaction in
                    for turn in try transaction.openTurns(of: ID(rawValue: session)) {
                        try transaction.requestCancel(turn.id)
                    }
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

    @Test(arguments: SessionProvider.allCases, [false, true])
    func `a session that is deleted while its sandbox is made leaves nothing`(
        provider: SessionProvider,
        withWorkspace: Bool
    ) async throws {
        try await SlowSandbox.with(provider) { fixture in
            let session = fixture.newSession()
            async let answer = fixture.client.chat(fixture.message("echo never", in: session))
            try await SlowSandbox.waitUntilAsked(fixture)
            let gone = withWorkspace ? "workspaces/\(fixture.workspace)" : "sessions/\(session)"
            #expect(try await fixture.client.delete("/api/projects/local/\(gone)").status == 200)
            // Bubblewrap is killed; what an engine was asked for comes all the same.
            if provider == .docker { try SlowSandbox.release(fixture) }
            if !withWorkspace { try await fixture.client.removeSession(session) }
            let end = try await answer
            #expect(end.isDone)
            #expect(end.text == "")
        }
    }

    @Test(arguments: SessionProvider.allCases, [false, true])
    func `a session that is deleted while its agent works ends the stream and leaves nothing`(
        provider: SessionProvider,
        withWorkspace: Bool
    ) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            let body = fixture.message(ChatFixture.numbers(1000, pause: 100), in: session)
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
            try await eventually { !fixture.directory.exists("\(fixture.sandboxes)/sessions/\(session)") }
        }
    }
}

/// A sandbox whose making waits to be let go on.
enum SlowSandbox {
    static func with(_ provider: SessionProvider, _ body: (ChatFixture) async throws -> Void) async throws {
        guard provider == .docker else { return try await ChatFixture.with(prepare: installBubblewrap, body) }
        let engine = try await DockerEngine.shared()
        var stub: StubDockerEngine?
        defer { stub?.close() }
        try await ChatFixture.with(.init(provider: .docker)) { directory in
            let slow = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                if request.hasPrefix("POST /containers/create?name=discobot-session-") { waitUntilReleased(directory) }
                return nil
            }
            stub = slow
            return ["DOCKER_HOST": "unix://\(slow.path)"]
        } _: {
            try await body($0)
        }
    }

    /// Returns also when the test is over.
    private static func waitUntilReleased(_ directory: TemporaryDirectory) {
        try? directory.write("", to: "asked")
        while directory.exists("asked"), !directory.exists("go") { usleep(20_000) }
    }

    /// A bubblewrap that waits.
    private static func installBubblewrap(_ directory: TemporaryDirectory) async throws -> [String: String] {
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
        try await eventually { fixture.directory.exists("asked") }
    }

    static func release(_ fixture: ChatFixture) throws {
        try fixture.directory.write("", to: "go")
    }
}

extension ChatFixture {
    /// Runs a script of `sh` in a session's working copy, beside its agent and without the server.
    func run(_ script: String, besides session: String) async throws {
        if let engine {
            let files = "/.data/agent/workspace"
            try await engine.docker("exec", "-w", files, "discobot-session-\(session)", "sh", "-ec", script)
        } else {
            let files = directory.file("\(sandboxes)/sessions/\(session)/data/workspace")
            try await Shell.run(#"cd "$0"; eval "$1""#, files, script)
        }
    }
}
