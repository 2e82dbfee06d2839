// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct ProjectRoutesTests {
    private static let keys: Set = ["id", "name", "slug", "createdAt", "updatedAt"]

    @Test
    func `has the local project and its one member from the start`() async throws {
        try await TestServer.with { server in
            let list = try await server.client.get("/api/projects")
            #expect(list.status == 200)
            #expect(list.json.isList)
            #expect(list.json.list.count == 1)
            let local = list.json[0]
            #expect(local.keys == Self.keys)
            #expect(local["id"].string == "local")
            #expect(local["name"].string == "Local Project")
            #expect(local["slug"].string == "local")
            #expect(local["createdAt"].string?.isRFC3339 == true)
            #expect(try await server.client.get("/api/projects/local").json == local)

            let members = try await server.client.get("/api/projects/local/members")
            #expect(members.status == 200)
            #expect(members.json.isList)
            #expect(members.json.list.count == 1)
            let member = members.json[0]
            #expect(member.keys == ["id", "projectId", "userId", "role", "email", "name", "acceptedAt"])
            #expect(member["id"].string?.isUUID == true)
            #expect(member["projectId"].string == "local")
            #expect(member["userId"].string == User.anonymous.id.rawValue)
            #expect(member["role"].string == "owner")
            #expect(member["email"].string == "anonymous@local")
            #expect(member["name"].string == "Anonymous User")
        }
    }

    @Test(arguments: [
        ("My Project!", "my-project-"), ("  a__b  ", "a-b-"), ("UPPER case 42", "upper-case-42-"),
        ("Ünïcode prøject", "n-code-pr-ject-"), ("-x-", "x-"), ("日本", ""), ("a\n\t\"b\"|\\", "a-b-"),
    ])
    func `creates a project with a slug of its name`(name: String, prefix: String) async throws {
        try await TestServer.with { server in
            let first = try await server.client.post("/api/projects", body(["name": name]))
            #expect(first.status == 201)
            #expect(first.json.keys == Self.keys)
            #expect(first.json["name"].string == name)
            let slug = try #require(first.json["slug"].string)
            #expect(slug.hasPrefix(prefix))
            #expect(slug.dropFirst(prefix.count).wholeMatch(of: /-?[0-9a-f]{8}/) != nil, "\(slug)")
            let id = try #require(first.json["id"].string)
            #expect(id.isUUID)
            #expect(try await server.client.get("/api/projects/\(id)").json == first.json)

            let second = try await server.client.post("/api/projects", body(["name": name]))
            #expect(second.status == 201)
            #expect(second.json["slug"].string != slug)
            let ids = try await server.client.get("/api/projects").json.list.map(\.["id"].string)
            #expect(ids == ["local", id, second.json["id"].string])
            #expect(try await server.client.get("/api/projects/\(id)/members").json[0]["role"].string == "owner")
        }
    }

    @Test(arguments: [
        "{}", #"{"name":""}"#, #"{"name":" \t\n"}"#, #"{"name":null}"#, #"{"name":7}"#, #"{"name":["a"]}"#,
        #"{"name":"\#(String(repeating: "x", count: 256))"}"#, #"{"name":"a\u0000b"}"#, "", "{",
    ])
    func `refuses a missing, blank or wrong name`(text: String) async throws {
        try await TestServer.with { server in
            let word = text.hasSuffix("}") && !text.contains("u0000") ? "name" : "Invalid request body"
            expectRefusal(try await server.client.post("/api/projects", text), 400, naming: word)
            expectRefusal(try await server.client.put("/api/projects/local", text), 400, naming: word)
            #expect(try await server.client.get("/api/projects").json.list.count == 1)
            #expect(try await server.client.get("/api/projects/local").json["name"].string == "Local Project")
        }
    }

    @Test
    func `renames a project and keeps its slug`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await client.makeProject("Before")
            let before = try await client.get("/api/projects/\(id)").json
            let renamed = try await client.put("/api/projects/\(id)", #"{"name":"After","slug":"mine","id":"x"}"#)
            #expect(renamed.status == 200)
            #expect(renamed.json.keys == Self.keys)
            #expect(renamed.json["name"].string == "After")
            #expect(renamed.json["id"].string == id)
            #expect(renamed.json["slug"] == before["slug"])
            #expect(renamed.json["createdAt"] == before["createdAt"])
            #expect(try await client.get("/api/projects/\(id)").json == renamed.json)
            #expect(try await client.get("/api/projects/local").json["name"].string == "Local Project")
        }
    }

    @Test
    func `removes a project with all that is in it, and nothing else`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await client.makeProject()
            let other = try await server.makeLocalWorkspace("other")
            let workspace = try await server.makeLocalWorkspace("mine", project: id)
            let agent = #"{"name":"A","agentType":"shell"}"#
            #expect(try await client.post("/api/projects/\(id)/agents", agent).status == 201)
            try await server.insertSession("gone", workspace: workspace, project: id)
            try await server.insertSession("stays", workspace: other)

            expectSuccess(try await client.delete("/api/projects/\(id)"))
            for path in ["", "/members", "/workspaces", "/workspaces/\(workspace)", "/sessions", "/agents", "/events"] {
                expectRefusal(try await client.get("/api/projects/\(id)\(path)"), 403, naming: "Access denied")
            }
            expectRefusal(try await client.delete("/api/projects/\(id)"), 403)
            #expect(try await client.get("/api/projects").json.list.map(\.["id"].string) == ["local"])
            expectRefusal(try await client.get("/api/projects/local/workspaces/\(workspace)"), 404)
            #expect(try await client.get("/api/projects/local/sessions/stays").status == 200)
            #expect(server.directory.exists("mine/README.md"))
        }
    }

    @Test
    func `removes the clones of a project that is removed`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let repository = try await server.directory.makeRepository()
            let id = try await client.makeProject()
            let source = body(["path": "file://\(repository)"])
            let workspace = try await client.makeWorkspace(source, project: id)
            let clone = try #require(workspace["workDir"].string)
            #expect(clone.hasPrefix(server.directory.file("data/workspaces/")))
            #expect(FileManager.default.fileExists(atPath: clone + "/README.md"))
            expectSuccess(try await client.delete("/api/projects/\(id)"))
            // The project's news are gone with it; so let other jobs pass until this one has run.
            for number in 0..<50 where server.directory.exists("data/workspaces/\(id)") {
                _ = try await client.makeWorkspace(body(["path": server.directory.file("pass\(number)")]))
            }
            #expect(!server.directory.exists("data/workspaces/\(id)"))
            #expect(server.directory.exists("repository/README.md"))
        }
    }

    @Test
    func `removes what the sandboxes of a removed project shared`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await client.makeProject()
            let cache = "data/sandboxes/caches/\(id)"
            try FileManager.default.createDirectory(
                atPath: server.directory.file(cache + "/home"),
                withIntermediateDirectories: true
            )
            expectSuccess(try await client.delete("/api/projects/\(id)"))
            for number in 0..<50 where server.directory.exists(cache) {
                _ = try await client.makeWorkspace(body(["path": server.directory.file("pass\(number)")]))
            }
            #expect(!server.directory.exists(cache))
        }
    }

    @Test
    func `lets only owners and admins change a project`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await client.makeProject()
            func become(_ role: ProjectRole) async throws {
                _ = try await server.store.write {
                    try $0.execute("UPDATE project_members SET role = \(role.rawValue) WHERE project_id = \(id)")
                }
            }
            try await become(.member)
            #expect(try await client.get("/api/projects/\(id)").status == 200)
            let rename = try await client.put("/api/projects/\(id)", #"{"name":"Mine"}"#)
            expectRefusal(rename, 403, naming: "Admin access required")
            expectRefusal(try await client.delete("/api/projects/\(id)"), 403, naming: "Owner access required")
            try await become(.admin)
            #expect(try await client.put("/api/projects/\(id)", #"{"name":"Mine"}"#).status == 200)
            expectRefusal(try await client.delete("/api/projects/\(id)"), 403, naming: "Owner access required")
            try await become(.owner)
            expectSuccess(try await client.delete("/api/projects/\(id)"))
        }
    }

    @Test
    func `hides the projects of others`() async throws {
        try await TestServer.with { server in
            let other = User(id: "other", email: "other@localhost", name: nil, avatarURL: nil, provider: "local")
            let project = Project(id: "theirs", name: "Theirs", slug: "theirs", createdAt: .now, updatedAt: .now)
            try await server.store.write { transaction in
                try transaction.seed(other, providerID: "other")
                try transaction.insert(project, owner: other.id)
            }
            #expect(try await server.client.get("/api/projects").json.list.map(\.["id"].string) == ["local"])
            expectRefusal(try await server.client.get("/api/projects/theirs"), 403, naming: "Access denied")
            expectRefusal(try await server.client.delete("/api/projects/theirs"), 403, naming: "Access denied")
            #expect(try await server.store.read { try $0.project("theirs") } == project)
        }
    }

    @Test
    func `never removes the local project`() async throws {
        try await TestServer.with { server in
            expectRefusal(try await server.client.delete("/api/projects/local"), 409, naming: "local project")
            let local = try await server.client.get("/api/projects/local")
            #expect(local.status == 200)
        }
    }
}
