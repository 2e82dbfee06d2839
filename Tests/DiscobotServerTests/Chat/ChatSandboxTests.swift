// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import Testing

/// Sandboxes that outlive what uses them, or cannot be had.
@Suite(.timeLimit(.minutes(20)))
struct ChatSandboxTests {
    @Test(arguments: SessionProvider.allCases)
    func `an idle sandbox is stopped, and the next message starts it with its files`(provider: SessionProvider)
        async throws
    {
        let setting = ChatFixture.Setting(
            provider: provider,
            environment: ["SANDBOX_IDLE_TIMEOUT": "300ms", "IDLE_CHECK_INTERVAL": "50ms"]
        )
        try await ChatFixture.with(setting) { fixture in
            let session = fixture.newSession()
            let busy = try await fixture.talk("echo kept > file; " + ChatFixture.numbers(100), in: session)
            try await busy.expectNumbers(100)
            // Longer than the timeout, and not idle.
            #expect(busy.types.last == "finish")
            for _ in 0..<2 {
                try await fixture.client.session(session, becoming: ["stopped"])
                try await eventually { !SeenProcess.all.contains { $0.isOf(session: session) } }
                #expect(try await fixture.messages(of: session).first?["role"].string == "user")
                #expect(try await fixture.talk("cat file", in: session).text == "kept\n")
            }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `programs of a sandbox cannot write where its socket was`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let script = "touch /run/discobot/x 2>/dev/null || echo closed; ls -A /run/discobot 2>/dev/null"
            for _ in 1...2 {
                #expect(try await fixture.talk(script, in: session).text == "closed\n")
                try await fixture.restartServer()
                let path = "/api/projects/local/sessions/\(session)"
                #expect(try await fixture.client.put(path, #"{"status":"stopped"}"#).status == 200)
            }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `the next server finds running sandboxes, and removes those whose session is gone`(provider: SessionProvider)
        async throws
    {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let (kept, orphan) = (fixture.newSession(), fixture.newSession())
            for session in [kept, orphan] { _ = try await fixture.talk("echo hi", in: session) }
            let runtime = try fixture.processes(of: kept).runtime.identifier
            fixture.server.kill()
            try await Self.deleteRow(of: orphan, fixture)
            #expect(SeenProcess.all.contains { $0.isOf(session: orphan) })
            try await fixture.startServer()
            try await eventually {
                !SeenProcess.all.contains { $0.isOf(session: orphan) }
                    && !fixture.directory.exists("\(fixture.sandboxes)/sessions/\(orphan)")
            }
            #expect(try await fixture.talk("echo usable", in: kept).text == "usable\n")
            #expect(try fixture.processes(of: kept).runtime.identifier == runtime)
            // What keeps its commit is removed with the session only.
            try await Shell.run(
                #"git -C "$0" update-ref -d "$1""#,
                fixture.repository,
                "refs/discobot/sessions/\(orphan)"
            )
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `sessions that come and go leave nothing behind`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            // What the first ones leave is for all: the project's cache, connections.
            for _ in 0..<2 { try await fixture.makeAndRemoveSession() }
            let before = try await fixture.belongings()
            let descriptors = try fixture.serverDescriptors()
            let cycles = 10
            for _ in 0..<cycles { try await fixture.makeAndRemoveSession() }
            #expect(try await fixture.belongings() == before)
            // Those of connections to sandboxes that have gone are closed when that is noticed.
            try await eventually { try fixture.serverDescriptors() < descriptors + cycles }
        }
    }

    /// Removes a session's row while no server runs.
    private static func deleteRow(of session: String, _ fixture: ChatFixture) async throws {
        let isDeleted = try await fixture.withStore { store in
            try await store.write { try $0.deleteSession(ID(rawValue: session)) }
        }
        #expect(isDeleted)
    }

    @Test
    func `without bubblewrap a session says what to install`() async throws {
        try await ChatFixture.with(prepare: Self.hideBubblewrap) { fixture in
            let session = fixture.newSession()
            for attempt in 1...2 {
                let answer = try await fixture.talk("echo never", in: session)
                try await answer.expectWhole()
                #expect(answer.types == ["start", "error"])
                #expect(answer.error?.contains("apt-get install bubblewrap") == true)
                #expect(try await fixture.messages(of: session).count == 2 * attempt)
            }
            let row = try await fixture.client.get("/api/projects/local/sessions/\(session)").json
            #expect(row["status"].string == "error")
            #expect(row["errorMessage"].string?.contains("apt-get install bubblewrap") == true)
        }
    }

    /// A PATH with all programs but bubblewrap.
    private static func hideBubblewrap(_ directory: TemporaryDirectory) async throws -> [String: String] {
        try await Shell.run(
            #"mkdir "$0/bin"; ln -s /usr/sbin/* /usr/bin/* "$0/bin" 2>/dev/null || true; rm "$0/bin/bwrap""#,
            directory.path
        )
        return ["PATH": directory.file("bin")]
    }
}
