// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing

@Suite(.timeLimit(.minutes(10)))
struct InfrastructureRoutesTests {
    @Test
    func `says that it is alive and ready`() async throws {
        try await TestServer.with { server in
            let health = try await server.client.get("/health")
            #expect(health.status == 200)
            #expect(health.text == #"{"status":"ok"}"#)
            let ready = try await server.client.get("/ready")
            #expect(ready.status == 200)
            #expect(ready.json.keys == ["ready", "database", "providers"])
            #expect(ready.json["ready"].bool == true)
            #expect(ready.json["database"].string == "ok")
            #expect(ready.json["providers"].keys == ["docker", "local"])
            #expect(ready.json["providers"]["docker"].string?.isEmpty == false)
        }
    }

    @Test
    func `tells what is wrong and how to mend it`() async throws {
        try await TestServer.with { server in
            let status = try await server.client.get("/api/status")
            #expect(status.status == 200)
            #expect(status.json.keys == ["ok", "messages", "startupTasks"])
            #expect(status.json["ok"].bool == true)
            #expect(status.json["startupTasks"].list.isEmpty)
            let messages = status.json["messages"].list
            #expect(messages.allSatisfy { $0.keys == ["id", "level", "title", "message"] })
            #expect(messages.allSatisfy { $0["level"].string == "warn" && $0["message"].string?.isEmpty == false })
            // The fixture names a socket that is not there.
            #expect(messages.contains { $0["id"].string == "docker-not-found" })
        }
    }

    @Test
    func `knows who the user is`() async throws {
        try await TestServer.with { server in
            let me = try await server.client.get("/auth/me")
            #expect(me.status == 200)
            #expect(me.json.keys == ["id", "email", "name", "provider"])
            #expect(me.json["id"].string == "00000000-0000-0000-0000-000000000001")
            #expect(me.json["email"].string == "anonymous@local")
            #expect(me.json["name"].string == "Anonymous User")
            #expect(me.json["provider"].string == "local")
        }
    }

    @Test
    func `describes every call completely`() async throws {
        try await TestServer.with { server in
            let answer = try await server.client.get("/api/routes")
            #expect(answer.status == 200)
            let routes = answer.json.list
            #expect(Set(routes.map { "\($0["method"]) \($0["pattern"])" }).count == routes.count)
            for route in routes {
                let required: Set = ["method", "pattern", "group", "description", "params"]
                #expect(required.isSubset(of: route.keys) && route.keys.isSubset(of: required.union(["body"])))
                #expect(route["description"].string?.isEmpty == false && route["group"].string?.isEmpty == false)
                let parameters = route["params"].list
                let keys: Set = ["name", "in", "required"]
                #expect(
                    parameters.allSatisfy {
                        keys.isSubset(of: $0.keys) && $0.keys.isSubset(of: keys.union(["example"]))
                    }
                )
                let inPath = parameters.filter { $0["in"].string == "path" }
                #expect(inPath.allSatisfy { $0["required"].bool == true })
                let pattern = route["pattern"].string ?? ""
                let braces = pattern.matches(of: /\{(\w+)\}/).map { String($0.output.1) }
                #expect(inPath.map(\.["name"].string) == braces, "\(route)")
                let query = parameters.filter { $0["in"].string == "query" }
                #expect(query.count + inPath.count == parameters.count)
                #expect(Set(parameters.map(\.["name"].string)).count == parameters.count, "\(route)")
                #expect(route["method"].string != "GET" || route["body"].isNull)
            }
        }
    }

    @Test
    func `has the calls of the contract`() async throws {
        let project = "/api/projects/{projectId}"
        let wanted: [(String, [String])] = [
            ("/health", ["GET"]), ("/api/status", ["GET"]), ("/api/routes", ["GET"]), ("/api/ui", ["GET"]),
            ("/auth/me", ["GET"]), ("/api/preferences", ["GET", "PUT"]),
            ("/api/preferences/{key}", ["GET", "PUT", "DELETE"]), ("/api/projects", ["GET", "POST"]),
            (project, ["GET", "PUT", "DELETE"]), ("\(project)/members", ["GET"]), ("\(project)/events", ["GET"]),
            ("\(project)/suggestions", ["GET"]), ("\(project)/workspaces", ["GET", "POST"]),
            ("\(project)/workspaces/{workspaceId}", ["GET", "PUT", "DELETE"]),
            ("\(project)/workspaces/{workspaceId}/sessions", ["GET"]),
            ("\(project)/workspaces/providers", ["GET"]), ("\(project)/workspaces/validate", ["POST"]),
            ("\(project)/agents", ["GET", "POST"]), ("\(project)/agents/{agentId}", ["GET", "PUT", "DELETE"]),
            ("\(project)/agents/default", ["POST"]), ("\(project)/agents/types", ["GET"]),
            ("\(project)/agents/auth-providers", ["GET"]),
            ("\(project)/sessions/{sessionId}", ["GET", "PUT", "PATCH", "DELETE"]),
        ]
        let git =
            ["status", "branches", "diff", "files", "file", "log"].map { ("git/\($0)", "GET") }
            + ["fetch", "checkout", "file", "stage", "commit"].map { ("git/\($0)", "POST") }
        try await TestServer.with { server in
            let routes = try await server.client.get("/api/routes").json.list
            let there = Set(routes.map { "\($0["method"]) \($0["pattern"])" })
            for (pattern, methods) in wanted {
                for method in methods { #expect(there.contains("\(method) \(pattern)"), "\(method) \(pattern)") }
            }
            for (name, method) in git {
                #expect(there.contains("\(method) \(project)/workspaces/{workspaceId}/\(name)"), "\(name)")
            }
        }
    }

    @Test
    func `serves the API browser as a page that can load nothing from elsewhere`() async throws {
        try await TestServer.with { server in
            let page = try await server.client.get("/api/ui")
            #expect(page.status == 200)
            #expect(page.headers["content-type"]?.hasPrefix("text/html") == true)
            #expect(page.text.lowercased().contains("<!doctype html>"))
            #expect(page.text.contains("/api/routes"))
            #expect(!page.text.contains("src=\"http") && !page.text.contains("href=\"http"))
            let policy = try #require(page.headers["content-security-policy"])
            for part in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                #expect(policy.contains(part))
            }
        }
    }

    @Test
    func `leads from the root to the API browser`() async throws {
        try await TestServer.with { server in
            // Raw, because the client follows redirects.
            let connection = try RawConnection(port: server.client.port)
            defer { connection.close() }
            connection.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            let answer = try #require(await connection.readToEnd()).lowercased()
            #expect(answer.hasPrefix("http/1.1 307 "))
            #expect(answer.contains("\r\nlocation: /api/ui\r\n"))
        }
    }

    @Test(arguments: [
        "/health", "/api/routes", "/api/ui", "/auth/me", "/api/projects", "/api/projects/local/workspaces",
    ])
    func `answers HEAD like GET, without a body`(path: String) async throws {
        try await TestServer.with { server in
            let get = try await server.client.get(path)
            let head = try await server.client.send(.head, path)
            #expect(head.status == get.status)
            #expect(head.body.isEmpty)
            #expect(head.headers["content-type"] == get.headers["content-type"])
            #expect(head.headers["content-length"] == get.headers["content-length"])
        }
    }

    @Test
    func `answers HEAD of what is not there with 404`() async throws {
        try await TestServer.with { server in
            let paths = ["/api/nothing": 404, "/api/projects/none": 403, "/api/projects/local/agents/none": 404]
            for (path, status) in paths {
                let answer = try await server.client.send(.head, path)
                #expect(answer.status == status)
                #expect(answer.body.isEmpty)
            }
        }
    }
}
