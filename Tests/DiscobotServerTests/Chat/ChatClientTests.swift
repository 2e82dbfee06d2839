// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing
import discobot_server

/// Clients that come and go, that do not read, and agents that print what nobody can use.
@Suite(.timeLimit(.minutes(20)))
struct ChatClientTests {
    @Test
    func `a client that drops and comes back a hundred times gets each chunk once`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            var drops = 0
            // The rest of the answer is read at once when the client has dropped often enough.
            let answer = try await fixture.talk(ChatFixture.numbers(600, pause: 30), in: session) {
                drops += 1
                return drops <= 100 ? Int.random(in: 1...2) : nil
            }
            #expect(drops > 100)
            try await answer.expectNumbers(600)
            try await fixture.expectHistory(of: session, [answer])
        }
    }

    @Test
    func `a client that never reads costs the others nothing, and a flood is cut`() async throws {
        try await ChatFixture.with { fixture in
            let flooded = fixture.newSession()
            let other = fixture.newSession()
            _ = try await fixture.talk("echo ready", in: flooded)
            let before = try Self.memory(of: fixture.server)
            let silent = try RawConnection(port: try #require(URL(string: fixture.client.base)?.port))
            defer { silent.close() }
            let flood = fixture.message("yes 0123456789 | head -c 200000000", in: flooded, id: "flood")
            silent.send(
                "POST \(ChatFixture.chat) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(flood.utf8.count)\r\n\r\n"
                    + flood
            )
            async let numbers = fixture.talk(ChatFixture.numbers(100), in: other)
            let answer = try await fixture.client.chat(flood)
            #expect(answer.ids.map { $0.split(separator: ":").last } == (1...answer.ids.count).map { "\($0)" })
            #expect(answer.types.last == "finish")
            #expect(answer.text == String(repeating: "0123456789\n", count: 4 << 20).prefix(32 << 20), "it differs")
            let error = answer.chunks.first { $0.type == "tool-output-error" }?.json["errorText"].string
            #expect(error?.contains("output limit") == true)
            try await numbers.expectNumbers(100)
            let peak = try Self.memory(of: fixture.server, peak: true)
            #expect(peak - before < 300 << 20, "from \(before >> 20) to \(peak >> 20) MiB")
            #expect(try await fixture.talk("echo on", in: flooded).text == "on\n")
            #expect(try await fixture.messages(of: flooded).count == 6)
        }
    }

    /// In bytes, as the kernel counts it.
    private static func memory(of server: ServerProcess, peak: Bool = false) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(server.identifier)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix(peak ? "VmHWM:" : "VmRSS:") }
        return try #require(line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
    }

    @Test
    func `bytes that are no text are replaced`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let answer = try await fixture.talk(#"printf 'a\377b\303\n\303\251\xe2\x82'"#, in: session)
            try await answer.expectWhole()
            #expect(answer.text == "a\u{FFFD}b\u{FFFD}\né\u{FFFD}")
            try await fixture.expectHistory(of: session, [answer])
        }
    }

    @Test
    func `an agent that is silent does not let the connection die`() async throws {
        try await TestServer.with { options in
            options.keepAliveInterval = .milliseconds(50)
        } _: { server in
            let client = server.client
            let workspace = try await client.makeChatWorkspace(try await server.directory.makeRepository())
            let agent = try await client.makeAgent("shell")
            let session = "t" + UUID().uuidString.prefix(8).lowercased()
            let body = TestClient.message(
                "echo begun; sleep 1000",
                session: session,
                workspace: workspace,
                agent: agent
            )
            let first = try await client.chat(body) { $0.text.contains("begun") }
            let connection = try RawConnection(port: try #require(URL(string: client.base)?.port))
            connection.send(
                "GET \(ChatFixture.chat)/\(session)/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    + "Last-Event-ID: \(first.lastID ?? "")\r\n\r\n"
            )
            for _ in 0..<3 { #expect(await connection.read(until: ":\n\n").contains(":\n\n")) }
            connection.close()
            _ = try await client.post("\(ChatFixture.chat)/\(session)/cancel", "{}")
            try await client.removeSession(session)
        }
    }
}
