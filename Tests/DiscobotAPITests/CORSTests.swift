// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing
import discobot_server

@Suite(.timeLimit(.minutes(10)))
struct CORSTests {
    private static let changes: [HTTPRequest.Method] = [.post, .put, .patch, .delete]

    @Test(arguments: [
        "http://localhost:3000", "http://app.localhost:3000", "http://app.localhost:3001", "http://a.b.localhost:3001",
        "http://3000-abc_d.localhost:3000",
    ])
    func `lets pages of allowed origins call with cookies`(origin: String) async throws {
        try await TestServer.with { server in
            let headers = ["Origin": origin]
            let answers = [
                try await server.client.send(.get, "/api/projects", headers: headers),
                try await server.client.send(.post, "/api/projects", #"{"name":"A"}"#, headers: headers),
                try await server.client.send(.post, "/api/projects", "{", headers: headers),
                try await server.client.send(.get, "/api/nothing", headers: headers),
                try await server.client.send(.delete, "/health", headers: headers),
            ]
            #expect(answers.map(\.status) == [200, 201, 400, 404, 405])
            for answer in answers {
                #expect(answer.headers["access-control-allow-origin"] == origin)
                #expect(answer.headers["access-control-allow-credentials"] == "true")
                #expect(answer.headers["access-control-expose-headers"]?.contains("Link") == true)
                #expect(answer.headers["vary"]?.contains("Origin") == true)
            }
        }
    }

    @Test
    func `answers preflights of allowed origins`() async throws {
        try await TestServer.with { server in
            for path in ["/api/projects", "/api/projects/none/agents", "/nothing"] {
                let headers = [
                    "Origin": "http://localhost:3000", "Access-Control-Request-Method": "PUT",
                    "Access-Control-Request-Headers": "content-type",
                ]
                let answer = try await server.client.send(.options, path, headers: headers)
                #expect(answer.status == 204)
                #expect(answer.body.isEmpty)
                #expect(answer.headers["access-control-allow-origin"] == "http://localhost:3000")
                #expect(answer.headers["access-control-allow-credentials"] == "true")
                #expect(answer.headers["access-control-max-age"] == "300")
                let methods = answer.headers["access-control-allow-methods"] ?? ""
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] { #expect(methods.contains(method)) }
                let fields = answer.headers["access-control-allow-headers"]?.lowercased() ?? ""
                for field in ["accept", "authorization", "content-type", "x-csrf-token", "last-event-id"] {
                    #expect(fields.contains(field))
                }
            }
        }
    }

    @Test(arguments: [
        "http://evil.com", "http://localhost:3000.evil.com", "http://evil.com/.localhost:3001", "null", "",
        "https://localhost:3000", "http://localhost:3000/", "http://localhost", "http://localhost:30001",
        "http://.localhost:3001", "http://localhost:3001", "http://evil.com:80.localhost:3001",
        "http://user@x.localhost:3001", "HTTP://LOCALHOST:3000", "localhost:3000", "http://xlocalhost:3001",
        "http://app.localhost:3000 http://evil.com", "*", "http://*.localhost:3001x", "file://",
    ])
    func `keeps pages of other origins from changing anything`(origin: String) async throws {
        try await TestServer.with { server in
            let headers = ["Origin": origin, "Content-Type": "text/plain"]
            for method in Self.changes {
                let project = try await server.client.send(method, "/api/projects", #"{"name":"A"}"#, headers: headers)
                expectRefusal(project, 403)
                #expect(project.headers["access-control-allow-origin"] == nil)
                let local = try await server.client.send(
                    method,
                    "/api/projects/local",
                    #"{"name":"A"}"#,
                    headers: headers
                )
                expectRefusal(local, 403)
            }
            let list = try await server.client.send(.get, "/api/projects", headers: headers)
            #expect(list.status == 200)
            #expect(list.json.list.map(\.["name"].string) == ["Local Project"])
            #expect(list.headers.keys.allSatisfy { !$0.hasPrefix("access-control-") })

            let preflight = try await server.client.send(
                .options,
                "/api/projects",
                headers: ["Origin": origin, "Access-Control-Request-Method": "DELETE"]
            )
            #expect(preflight.headers.keys.allSatisfy { !$0.hasPrefix("access-control-") })
        }
    }

    @Test
    func `takes requests without an origin and of its own pages`() async throws {
        try await TestServer.with { server in
            let without = try await server.client.post("/api/projects", #"{"name":"A"}"#)
            #expect(without.status == 201)
            #expect(without.headers["access-control-allow-origin"] == nil)
            let own = try await server.client.send(
                .post,
                "/api/projects",
                #"{"name":"A"}"#,
                headers: ["Origin": server.client.base]
            )
            #expect(own.status == 201)
        }
    }

    @Test
    func `allows what CORS_ORIGINS says and nothing else`() async throws {
        try await TestServer.with({ $0.corsOrigins = ["https://*.example.com", "https://one.org"] }) { server in
            func answer(to origin: String) async throws -> Int {
                try await server.client.send(
                    .put,
                    "/api/preferences",
                    #"{"preferences":{}}"#,
                    headers: ["Origin": origin]
                )
                .status
            }
            for origin in ["https://a.example.com", "https://a.b.example.com", "https://one.org"] {
                let status = try await answer(to: origin)
                #expect(status == 200, "\(origin)")
            }
            for origin in [
                "https://example.com", "https://.example.com", "https://a.example.com:8443", "http://a.example.com",
                "https://a.example.com.evil.org", "https://aone.org", "http://localhost:3000",
                "https://one.org.evil.org",
            ] {
                let status = try await answer(to: origin)
                #expect(status == 403, "\(origin)")
            }
        }
        try await TestServer.with({ $0.corsOrigins = ["*"] }) { server in
            let answer = try await server.client.send(
                .put,
                "/api/preferences",
                #"{"preferences":{}}"#,
                headers: ["Origin": "https://anything.org"]
            )
            #expect(answer.status == 200)
            #expect(answer.headers["access-control-allow-origin"] == "https://anything.org")
            // Any page can have this one, of services as well.
            let nobody = try await server.client.send(.get, "/api/preferences", headers: ["Origin": "null"])
            #expect(nobody.headers["access-control-allow-origin"] == nil)
        }
    }

    @Test
    func `lets streams be read by allowed origins only`() async throws {
        try await TestServer.with { server in
            let headers = ["Origin": "http://localhost:3000", "Accept": "application/json"]
            let path = "/api/projects/local/events"
            let allowed = try await server.client.send(.get, path, headers: headers)
            #expect(allowed.headers["access-control-allow-origin"] == "http://localhost:3000")
            let connection = try RawConnection(port: server.client.port)
            defer { connection.close() }
            connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\r\n")
            let head = await connection.read(until: "event: connected").lowercased()
            #expect(head.contains("access-control-allow-origin: http://localhost:3000"))
            #expect(head.contains("access-control-allow-credentials: true"))
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
}
