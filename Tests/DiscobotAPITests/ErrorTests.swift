// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing

@testable import DiscobotStore

/// What is the same for every call: who is refused, and how a refusal looks.
@Suite(.timeLimit(.minutes(10)))
struct ErrorTests {
    private struct Route: Sendable {
        let method: HTTPRequest.Method
        let pattern: String
        let body: JSON
        var isOfProject: Bool { pattern.contains("{projectId}") }
        /// Has an id below that of the project.
        var isOfNoun: Bool { isOfProject && pattern.split(separator: "{").count > 2 }

        init?(_ json: JSON) {
            guard let name = json["method"].string, let method = HTTPRequest.Method(name),
                let pattern = json["pattern"].string
            else { return nil }
            self.method = method
            self.pattern = pattern
            body = json["body"]
        }

        func path(project: String, id: String = "none") -> String {
            pattern.replacing("{projectId}", with: project).replacing(/\{\w+\}/, with: id)
        }
    }

    private static func routes(_ client: TestClient) async throws -> [Route] {
        let routes = try await client.get("/api/routes").json.list.compactMap(Route.init)
        try #require(routes.count > 40)
        return routes
    }

    @Test
    func `refuses every call about a project that is not there`() async throws {
        try await TestServer.with { server in
            for route in try await Self.routes(server.client) where route.isOfProject {
                let text: String? = route.body.isNull ? nil : "{}"
                let answer = try await server.client.send(route.method, route.path(project: "none"), text)
                expectRefusal(answer, 403, naming: "Access denied")
            }
        }
    }

    @Test
    func `does not find what has an unknown id`() async throws {
        let bodies: [String: String] = [
            "/checkout": #"{"ref":"main"}"#, "/file": #"{"path":"a","content":""}"#, "/stage": "{}",
            "/commit": #"{"message":"a"}"#, "{agentId}": #"{"name":"a"}"#, "{sessionId}": "{}", "{workspaceId}": "{}",
            "/answer": #"{"toolUseID":"a","answers":{}}"#, "/write": #"{"path":"a","content":""}"#,
            "/delete": #"{"path":"a"}"#, "/rename": #"{"oldPath":"a","newPath":"b"}"#,
        ]
        try await TestServer.with { server in
            // What streams says with 204 that there is nothing to send.
            let routes = try await Self.routes(server.client).filter { !$0.pattern.hasSuffix("/stream") }
            for route in routes where route.isOfNoun {
                let text = route.body.isNull ? nil : bodies.first { route.pattern.hasSuffix($0.key) }?.value
                for id in ["none", "00000000-0000-4000-8000-000000000000", "a'b", "%2e%2e", "local"] {
                    let isProvider = id == "local" && route.pattern.contains("{provider}")
                    let path = route.path(project: "local", id: id) + "?path=a"
                    let answer = try await server.client.send(route.method, path, text)
                    if !isProvider { expectRefusal(answer, 404, naming: "not found") }
                }
            }
        }
    }

    @Test
    func `tells for each path which methods it has`() async throws {
        try await TestServer.with { server in
            let routes = try await Self.routes(server.client)
            for (path, routes) in Dictionary(grouping: routes, by: { $0.path(project: "local", id: "x") }) {
                let allowed = Set(routes.map(\.method.rawValue))
                for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete]
                where !allowed.contains(method.rawValue) {
                    let answer = try await server.client.send(method, path, "{}")
                    expectRefusal(answer, 405, naming: method.rawValue)
                    let names = answer.headers["allow"]?.split(separator: ", ").map(String.init) ?? []
                    #expect(allowed.isSubset(of: names), "\(method) \(path): \(names)")
                }
            }
        }
    }

    @Test(arguments: [
        "/nothing", "/api", "/api/", "/api/nothing", "/api/projects/local/nothing", "/api/projects/local/agents/a/b/c",
        "/api/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//health//x", "/favicon.ico", "/api/ü%20%00",
    ])
    func `answers unknown paths as JSON`(path: String) async throws {
        try await TestServer.with { server in
            for method in [HTTPRequest.Method.get, .post, .delete] {
                expectRefusal(try await server.client.send(method, path.asciiEscaped), 404)
            }
        }
    }

    @Test(arguments: [
        "", " ", "{", "}", "nul", "{\"name\":}", "{\"name\":\"a\"", "{'name':'a'}", "{\"name\":\"a\"}}", "[]", "\"a\"",
        "1",
        "null", "{\"name\":\"a\\u0000\"}", "{\"name\":\"\\u0000\"}", "{\"name\":\"a\\ud800\"}", "{\"name\":\"a\nb\"}",
    ])
    func `refuses malformed bodies`(text: String) async throws {
        try await TestServer.with { server in
            expectRefusal(try await server.client.post("/api/projects", text), 400, naming: "Invalid request body")
            #expect(try await server.client.get("/api/projects").json.list.count == 1)
        }
    }

    @Test(
        arguments: [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0x00, 0x22],
            [0x22, 0xC3, 0x22],
        ] as [[UInt8]]
    )
    func `refuses bodies that are not UTF-8`(value: [UInt8]) async throws {
        try await TestServer.with { server in
            let bytes = Array(#"{"name":"#.utf8) + value + Array("}".utf8)
            expectRefusal(try await server.client.send(.post, "/api/projects", bytes: bytes), 400)
            #expect(try await server.client.get("/api/projects").json.list.count == 1)
        }
    }

    @Test
    func `accepts an escaped backslash before u0000`() async throws {
        try await TestServer.with { server in
            let created = try await server.client.post("/api/projects", #"{"name":"a\\u0000"}"#)
            #expect(created.status == 201)
            #expect(created.json["name"].string == #"a\u0000"#)
        }
    }

    @Test
    func `survives deeply nested bodies`() async throws {
        try await TestServer.with { server in
            for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
                let depth = 100_000
                let nested = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
                for text in [nested, #"{"name":\#(nested)}"#, #"{"name":"fine","x":\#(nested)}"#] {
                    let answer = try await server.client.post("/api/projects", text)
                    expectRefusal(answer, 400)
                }
                expectRefusal(try await server.client.post("/api/projects", String(repeating: open, count: depth)), 400)
            }
            #expect(try await server.client.get("/health").status == 200)
        }
    }

    @Test
    func `refuses bodies of more than a mebibyte`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let fitting = (1 << 20) - #"{"value":""}"#.utf8.count
            for (length, status) in [(fitting, 200), (fitting + 1, 413), (8 << 20, 413)] {
                let text = #"{"value":"\#(String(repeating: "x", count: length))"}"#
                let answer = try await client.put("/api/preferences/large", text)
                if status == 413 {
                    expectRefusal(answer, 413, naming: "larger")
                } else {
                    #expect(answer.status == status)
                }
            }
            #expect(try await client.get("/api/preferences/large").json["value"].string?.utf8.count == fitting)
            let spaces = String(repeating: " ", count: 2 << 20)
            expectRefusal(try await client.post("/api/projects", spaces), 413)
        }
    }

    @Test
    func `gives each answer an id of its own`() async throws {
        try await TestServer.with { server in
            var ids: [String?] = []
            for path in ["/health", "/health", "/api/nothing", "/api/projects/none", "/api/projects", "/api/ui", "/"] {
                ids.append(try await server.client.get(path).headers["x-request-id"])
            }
            ids.append(try await server.client.post("/health", "").headers["x-request-id"])
            ids.append(try await server.client.post("/api/projects", "{").headers["x-request-id"])
            #expect(ids.allSatisfy { $0?.isEmpty == false })
            #expect(Set(ids).count == ids.count)
        }
    }

    @Test
    func `keeps the cause of an internal error to itself`() async throws {
        try await TestServer.with { server in
            try await server.client.ruinPreferences(of: server.store)
            for _ in 0..<2 {
                let answer = try await server.client.get("/api/preferences")
                expectRefusal(answer, 500)
                let id = try #require(answer.headers["x-request-id"])
                #expect(answer.json["error"].string == "Internal server error (request \(id))")
            }
            let write = try await server.client.put("/api/preferences/a", #"{"value":"1"}"#)
            expectRefusal(write, 500, naming: "Internal server error (request ")
            #expect(try await server.client.get("/api/projects").status == 200)
        }
    }

    @Test(arguments: ["default", "types", "auth-providers"])
    func `does not offer methods that a path does not have`(name: String) async throws {
        try await TestServer.with { server in
            let answer = try await server.client.put("/api/projects/local/agents/\(name)", "{}")
            expectRefusal(answer, 405)
            #expect(answer.headers["allow"] == (name == "default" ? "POST" : "GET, HEAD"))
        }
    }
}

extension TestClient {
    fileprivate func ruinPreferences(of store: Store) async throws {
        _ = try await store.write { try $0.execute("DROP TABLE user_preferences") }
    }
}

extension String {
    /// Percent-encodes what no request line can have, and leaves the rest as it is.
    fileprivate var asciiEscaped: String {
        utf8.map { $0 < 0x80 ? String(UnicodeScalar($0)) : "%" + String($0, radix: 16, uppercase: true) }.joined()
    }
}
