// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// What happens on the wire, where no HTTP client helps.
@Suite(.timeLimit(.minutes(10)))
struct ConnectionTests {
    private static let health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    private static let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    private static let alive = #"{"status":"ok"}"#

    /// Runs `body` with a connection, and checks that the server still serves others afterwards.
    private static func with(_ body: @escaping @Sendable (RawConnection) async throws -> Void) async throws {
        try await TestServer.with { server in
            let connection = try RawConnection(port: server.client.port)
            do {
                defer { connection.close() }
                try await body(connection)
            }
            let after = try await server.client.get("/health")
            #expect(after.status == 200)
        }
    }

    /// Sends bytes that end the connection and returns what came before that.
    private static func conversation(_ connection: RawConnection, _ text: String) async throws -> String {
        connection.send(text)
        return try #require(await connection.readToEnd(), "the connection is left open")
    }

    @Test
    func `answers several requests on one connection`() async throws {
        try await Self.with { connection in
            for _ in 0..<3 {
                connection.send(Self.health)
                let answer = await connection.read(until: Self.alive)
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(!answer.lowercased().contains("connection: close"))
            }
            connection.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let missing = await connection.read(until: "}")
            #expect(missing.hasPrefix("HTTP/1.1 404 "))
            connection.send("POST /api/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{")
            let refused = await connection.read(until: "}")
            #expect(refused.hasPrefix("HTTP/1.1 400 "))
            let end = try await Self.conversation(connection, Self.last)
            #expect(end.hasPrefix("HTTP/1.1 200 OK\r\n") && end.hasSuffix(Self.alive))
        }
    }

    @Test(arguments: [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n",
        "Upgrade: TLS/1.0\r\n", "Connection: keep-alive, Upgrade\r\nUpgrade: h2c, unknown/1\r\n",
    ])
    func `answers a request for another protocol as usual and closes`(headers: String) async throws {
        try await Self.with { connection in
            let upgrade = "GET /health HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n"
            let answer = try await Self.conversation(connection, upgrade + Self.health)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains(Self.alive))
            // The second is not answered, which the client can tell by the closed connection.
            #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2, "\(answer)")
        }
    }

    @Test
    func `serves the body of a request that asks for another protocol`() async throws {
        try await Self.with { connection in
            let answer = try await Self.conversation(
                connection,
                "PUT /api/preferences/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                    + "Content-Length: 13\r\n\r\n{\"value\":\"x\"}"
            )
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(answer)")
            #expect(answer.contains(#""value":"x""#))
        }
    }

    @Test
    func `answers pipelined requests in their order`() async throws {
        try await Self.with { connection in
            let paths = (0..<50).map { $0 % 2 == 0 ? "/health" : "/nothing/\($0)" }
            let requests = paths.map { "GET \($0) HTTP/1.1\r\nHost: localhost\r\n\r\n" }.joined()
            let answers = try await Self.conversation(connection, requests + Self.last)
                .components(separatedBy: "HTTP/1.1 ").dropFirst()
            #expect(answers.count == paths.count + 1)
            for (path, answer) in zip(paths, answers) {
                #expect(answer.hasPrefix(path == "/health" ? "200" : "404"))
                #expect(answer.contains(path == "/health" ? Self.alive : "\(path)\"}"))
            }
        }
    }

    @Test(arguments: [
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n", "garbage\r\n\r\n", "GET\r\n\r\n",
        "GET /health\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n", "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /api/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/projects HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nA\u{1}b: c\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
    func `refuses what is not HTTP and closes`(bytes: String) async throws {
        try await Self.with { connection in
            let answer = try await Self.conversation(connection, bytes)
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
            #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2, "\(answer)")
        }
    }

    @Test(arguments: [
        "", "G", "GET /hea", "GET /health HTTP/1.1\r\nHost:",
        "POST /api/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        "POST /api/projects HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"na",
    ])
    func `survives a client that goes in the middle of a request`(half: String) async throws {
        try await TestServer.with { server in
            for _ in 0..<20 {
                let connection = try RawConnection(port: server.client.port)
                connection.send(half)
                connection.close()
            }
            let list = try await server.client.get("/api/projects")
            #expect(list.json.list.count == 1)
        }
    }

    @Test
    func `refuses too many or too long headers`() async throws {
        for headers in [
            "A: \(String(repeating: "x", count: 200_000))\r\n",
            (0..<5000).map { "A\($0): \(String(repeating: "x", count: 40))\r\n" }.joined(),
        ] {
            try await Self.with { connection in
                connection.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")
                let answer = await connection.read(until: "\r\n\r\n")
                // A reset takes an answer that has not been read along.
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer)")
            }
        }
    }

    @Test
    func `reads only what was announced of a body`() async throws {
        try await Self.with { connection in
            let body = #"{"value":"x"}"#
            let put = "PUT /api/preferences/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            // What follows the body is the next request, and this one is none.
            let answer = try await Self.conversation(connection, put + body + "surplus\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains(#""value":"x""#))
            #expect(answer.components(separatedBy: "HTTP/1.1 ").count <= 3)
        }
    }

    @Test
    func `takes chunked bodies`() async throws {
        try await Self.with { connection in
            let put = "PUT /api/preferences/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.send(put)
            for piece in [#"{"val"#, #"ue":""#, "chunked", #""}"#] {
                connection.send("\(String(piece.utf8.count, radix: 16));x=y\r\n\(piece)\r\n")
            }
            connection.send("0\r\nTrailer: x\r\n\r\n")
            let stored = await connection.read(until: "}")
            #expect(stored.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(stored.contains(#""value":"chunked""#))

            connection.send(put)
            let piece = String(repeating: "x", count: 64 << 10)
            for _ in 0..<17 { connection.send("10000\r\n\(piece)\r\n") }
            connection.send("0\r\n\r\n")
            let tooLarge = await connection.read(until: "}")
            #expect(tooLarge.hasPrefix("HTTP/1.1 413 "))
            let end = try await Self.conversation(connection, Self.last)
            #expect(end.contains(Self.alive))
        }
    }

    @Test
    func `asks for the body of a client that waits for that`() async throws {
        try await Self.with { connection in
            connection.send(
                "PUT /api/preferences/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\nExpect: 100-continue\r\n"
                    + "Connection: close\r\n\r\n{\"value\":\"x\"}"
            )
            let answer = try #require(await connection.readToEnd())
            #expect(answer.contains("HTTP/1.1 200 OK\r\n"))
        }
    }

    /// The connection is closed after the answer, which a client cannot know before it sends its next request.
    @Test
    func `says that it closes the connection of a request for another protocol`() async throws {
        try await TestServer.with { server in
            let connection = try RawConnection(port: server.client.port)
            defer { connection.close() }
            connection.send(
                "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
            )
            let answer = try #require(await connection.readToEnd()).lowercased()
            #expect(answer.contains("\r\nconnection: close\r\n"), "\(answer)")
        }
    }
}
