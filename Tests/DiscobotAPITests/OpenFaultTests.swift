// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing

/// What the server does wrong today; each test moves to the suite of its route once it passes.
@Suite(.timeLimit(.minutes(1)))
struct OpenFaultTests {
    @Test
    func `decodes what is percent-encoded in paths`() async throws {
        try await TestServer.with { server in
            let client = server.client
            for key in ["with space", "a/b", "ключ", "💡", "100%", "..", "a+b", "q?x=1#y", "'; DROP TABLE users; --"] {
                let value = "line\nbreak \"quotes\" \\ \u{1} 💡 \(key)"
                let path = "/api/preferences/\(key.escaped)"
                let stored = try await client.put(path, body(["value": value]))
                #expect(stored.status == 200, "\(key): \(stored.text)")
                #expect(stored.json["key"].string == key)
                let found = try await client.get(path)
                #expect(found.json["value"].string == value, "\(key): \(found.text)")
                expectSuccess(try await client.delete(path))
            }
        }
    }

    @Test
    func `has another default agent when the default one is removed`() async throws {
        try await TestServer.with { server in
            let path = "/api/projects/local/agents"
            for name in ["A", "B", "C"] {
                _ = try await server.client.post(path, #"{"name":"\#(name)","agentType":"shell"}"#)
            }
            let first = try #require(try await server.client.get(path).json["agents"][0]["id"].string)
            expectSuccess(try await server.client.delete("\(path)/\(first)"))
            let left = try await server.client.get(path).json["agents"].list
            #expect(left.filter { $0["isDefault"].bool == true }.count == 1, "\(left)")
        }
    }

    /// No browser sends such an origin; but what `*` stands for should be part of a host name and nothing else.
    @Test(arguments: [
        "http://evil.com#.localhost:3001", "http://evil.com?.localhost:3001", "http://evil.com\\.localhost:3001",
    ])
    func `takes only characters of host names for a star in CORS_ORIGINS`(origin: String) async throws {
        try await TestServer.with { server in
            let answer = try await server.client.send(
                .put,
                "/api/preferences",
                #"{"preferences":{}}"#,
                headers: ["Origin": origin]
            )
            expectRefusal(answer, 403)
        }
    }

    @Test(arguments: ["default", "types", "auth-providers"])
    func `does not offer methods that a path does not have`(name: String) async throws {
        try await TestServer.with { server in
            let answer = try await server.client.put("/api/projects/local/agents/\(name)", "{}")
            expectRefusal(answer, 405)
            #expect(answer.headers["allow"] == (name == "default" ? "POST" : "GET"))
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
            let answer = try #require(await connection.receivedToEnd()).lowercased()
            #expect(answer.contains("\r\nconnection: close\r\n"), "\(answer)")
        }
    }
}
