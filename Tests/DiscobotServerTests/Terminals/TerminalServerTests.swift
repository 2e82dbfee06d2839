// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import DiscobotTunnel
import Foundation
import NIOHTTP1
import Testing

/// Terminals of sessions, through the server.
@Suite(.timeLimit(.minutes(10)))
struct TerminalServerTests {
    private static func with(
        _ provider: SessionProvider,
        environment: [String: String] = [:],
        _ body: (ChatFixture, _ session: String) async throws -> Void
    ) async throws {
        try await ChatFixture.with(.init(provider: provider, environment: environment)) { fixture in
            let session = fixture.newSession()
            let made = try await fixture.client.post(
                "/api/projects/local/sessions",
                #"{"id":"\#(session)","workspaceId":"\#(fixture.workspace)","agentId":"\#(fixture.agent)"}"#
            )
            try #require(made.status == 201)
            try await body(fixture, session)
        }
    }

    private static func refusal(_ body: () async throws -> Void) async -> Int? {
        do {
            try await body()
            return nil
        } catch WebSocket.ConnectError.refused(let head, _) {
            return Int(head.status.code)
        } catch {
            return nil
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a terminal starts its sandbox, survives the server, and tells what it was`(
        provider: SessionProvider
    ) async throws {
        try await Self.with(provider) { fixture, session in
            let path = "/api/projects/local/sessions/\(session)/terminal"
            try await TerminalClient.with(fixture.client, session: session, query: "rows=30&cols=100") { terminal in
                let shown = try await terminal.run("x=kept; stty size; id -u; env")
                #expect(shown.contains("30 100") && shown.contains("1000"))
                #expect(!shown.contains("DISCOBOT_SECRET") && !shown.contains("API_KEY"))
                try await terminal.resize(40, 120)
                #expect(try await terminal.run("stty size").contains("40 120"))
                try await terminal.type("seq 1 3000; echo do''ne\r")
                _ = try await terminal.output(until: "done")
                fixture.server.kill()
                #expect(try await terminal.end() == nil)
            }
            try await fixture.startServer()
            let status = try await fixture.client.get("\(path)/status").json
            #expect(status["status"].string == "running" && status["image"].string?.isEmpty == false)
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                let shown = try await terminal.output(until: "done")
                #expect(shown.hasPrefix("\u{1B}c") && shown.contains("\n2999\r\n3000\r\n"))
                #expect(try await terminal.run("echo $x").contains("kept"))
                let now = try await fixture.client.get("\(path)/history").json["history"][0]
                #expect(now["entry_type"].string == "output" && now["content"].string?.contains("3000\r\n") == true)
                try await terminal.type("exit 3\r")
                #expect(try await terminal.end() == WebSocketClose(1000, "shell exited"))
            }
            try await eventually {
                try await fixture.client.get("\(path)/history").json["history"].list.contains {
                    $0["entry_type"].string == "system" && $0["exit_code"].int == 3
                }
            }
            #expect(try await fixture.client.get("\(path)/history?limit=1").json["history"].list.count == 1)
            // Two who see a shell end, and one that ends while nobody looks.
            try await TerminalClient.with(fixture.client, session: session) { first in
                try await TerminalClient.with(fixture.client, session: session) { second in
                    try await second.run("true")
                    try await first.type("exit 4\r")
                    for terminal in [first, second] { #expect(try await terminal.end()?.code == 1000) }
                }
            }
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                try await terminal.run("true")
                try await terminal.type("until [ -e go ]; do sleep 0.02; done; exit 5\r")
                _ = try await terminal.output(until: "exit 5")
            }
            let files = "/api/projects/local/sessions/\(session)/files/write"
            #expect(try await fixture.client.put(files, #"{"path":"go","content":""}"#).status == 200)
            var codes: [Int] = []
            while codes.first != 5 {
                codes = try await fixture.client.get("\(path)/history").json["history"].list.compactMap {
                    $0["exit_code"].int
                }
            }
            #expect(codes == [5, 4, 3])
            #expect(try await fixture.client.put(String(path.dropLast(9)), #"{"status":"stopped"}"#).status == 200)
            try await eventually { SeenProcess.all.filter { $0.isOf(session: session) }.isEmpty }
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                let shown = try await terminal.run("echo [$x]")
                #expect(shown.contains("[]"))
            }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `what is no proper request for a terminal is refused`(provider: SessionProvider) async throws {
        try await Self.with(provider) { fixture, session in
            let client = fixture.client
            let path = "/api/projects/local/sessions/\(session)/terminal"
            #expect(try await client.get("\(path)/ws").status == 400)
            #expect(try await client.get("/api/projects/local/sessions/unknown/terminal/status").status == 404)
            #expect(try await client.get("/api/projects/local/sessions/unknown/terminal/history").status == 404)
            #expect(try await client.get("\(path)/history?limit=0").status == 400)
            let page = try await client.get("/terminal?session=\(session)")
            #expect(page.status == 200 && page.text.contains("WebSocket") && !page.text.contains("https://"))
            for (query, headers, expected) in [
                ("rows=0", [], 400), ("cols=x", [], 400), ("root=true", [], 403), ("root=maybe", [], 400),
                ("", [("Origin", "http://evil.example")], 403), ("", [("Origin", "null")], 403),
            ] as [(String, [(String, String)], Int)] {
                let status = await Self.refusal {
                    try await TerminalClient.with(client, session: session, query: query, headers: headers) { _ in }
                }
                #expect(status == expected, "\(query) \(headers)")
            }
            let unknown = await Self.refusal { try await TerminalClient.with(client, session: "unknown") { _ in } }
            #expect(unknown == 404)
            // The server's own pages may.
            try await TerminalClient.with(client, session: session, headers: [("Origin", "http://localhost")]) {
                try await $0.run("true")
                try await $0.send("nonsense")
                #expect(try await $0.end()?.code == 1008)
            }
        }
    }

    @Test
    func `root is to be had where the runtime is root`() async throws {
        try await Self.with(.local, environment: ["LOCAL_UNISOLATED": "true"]) { fixture, session in
            try await TerminalClient.with(fixture.client, session: session, query: "root=true") { terminal in
                let shown = try await terminal.run("echo [$(id -u)]")
                #expect(shown.contains("[0]"))
            }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `viewers are told when the sandbox or the server ends`(provider: SessionProvider) async throws {
        try await Self.with(provider) { fixture, session in
            let path = "/api/projects/local/sessions/\(session)"
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                try await terminal.run("true")
                #expect(try await fixture.client.put(path, #"{"status":"stopped"}"#).status == 200)
                let end = try await terminal.end()
                #expect([1000, 1001, 1011].contains(end?.code ?? 0), "\(String(describing: end))")
            }
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                try await terminal.run("true")
                let runtime = try #require(
                    SeenProcess.all.first { $0.isOf(session: session) && $0.name == "discobot-agent" }
                )
                runtime.kill()
                #expect(try await terminal.end()?.code == 1011)
            }
            // Until the server has heard of the end, it answers 503.
            try await eventually { try await fixture.client.get("\(path)/files").status == 200 }
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                try await terminal.run("true")
                async let status = fixture.server.terminate()
                #expect(try await terminal.end()?.code == 1001)
                #expect(await status == 0)
            }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `Ctrl-C ends a flood through the server, and a viewer that vanishes harms nobody`(
        provider: SessionProvider
    ) async throws {
        try await Self.with(provider) { fixture, session in
            let lost = try RawConnection(port: URL(string: fixture.client.base)?.port ?? 0)
            defer { lost.close() }
            try await TerminalClient.with(fixture.client, session: session) { terminal in
                try await terminal.run("true")
                // One that reads nothing, from the middle of the flood on.
                lost.send(
                    "GET /api/projects/local/sessions/\(session)/terminal/ws HTTP/1.1\r\nHost: localhost\r\n"
                        + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                try await terminal.type("yes 'a line of a flood'\r")
                for _ in 0..<100 { _ = try await terminal.next() }
                try await terminal.type("\u{3}")
                let rest = try await terminal.output(until: "^C")
                #expect(rest.utf8.count < 4 << 20, "\(rest.utf8.count)")
                #expect(try await terminal.run("echo alive").contains("alive"))
            }
        }
    }
}
