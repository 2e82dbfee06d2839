// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

@Suite(.timeLimit(.minutes(10)))
struct WorkspaceRoutesTests {
    private static let path = "/api/projects/local/workspaces"
    private static let keys: Set = ["id", "path", "sourceType", "provider", "network", "limits", "status", "sessions"]

    @Test
    func `makes a workspace of a local repository`() async throws {
        try await TestServer.with { server in
            let client = server.client
            #expect(try await client.get(Self.path).text == #"{"workspaces":[]}"#)
            let path = try await server.directory.makeRepository("a repository ü")
            let created = try await client.post(Self.path, body(["path": path, "displayName": "Mine"]))
            #expect(created.status == 201)
            #expect(created.json.keys == Self.keys.union(["displayName"]))
            let id = try #require(created.json["id"].string)
            #expect(id.isUUID)
            #expect(created.json["path"].string == path)
            #expect(created.json["displayName"].string == "Mine")
            #expect(created.json["sourceType"].string == "local")
            #expect(created.json["provider"].string == "")
            #expect(created.json["status"].string == "initializing")
            #expect(created.json["sessions"].isList)

            let ready = try await client.settled(workspace: id)
            #expect(ready.keys == Self.keys.union(["displayName", "commit", "workDir"]))
            #expect(ready["status"].string == "ready")
            #expect(ready["workDir"].string == path)
            #expect(ready["sessions"].isList)
            let head = try await Shell.run(#"git -C "$0" rev-parse HEAD"#, path)
            #expect(ready["commit"].string == head.trimmingCharacters(in: .newlines))
            let events = try await client.events().filter { $0["data"]["workspaceId"].string == id }
            #expect(events.map(\.["type"].string) == ["workspace_updated", "workspace_updated"])
            #expect(events.map { $0["data"]["status"].string } == ["initializing", "ready"])
            #expect(events.allSatisfy { $0["data"].keys == ["workspaceId", "status"] })
            #expect(try await Shell.run(#"git -C "$0" status --porcelain"#, path).isEmpty)
        }
    }

    @Test
    func `creates a repository with one commit where there is none`() async throws {
        try await TestServer.with { server in
            let directory = server.directory
            try FileManager.default.createDirectory(
                atPath: directory.file("empty"),
                withIntermediateDirectories: false
            )
            for name in ["missing", "empty", "-dash name"] {
                let path = directory.file(name)
                let workspace = try await server.client.makeWorkspace(body(["path": path, "sourceType": "local"]))
                #expect(workspace["status"].string == "ready", "\(workspace)")
                #expect(workspace["workDir"].string == path)
                let log = try await Shell.run(#"git -C "$0" log --format='%H|%an|%ae|%cn|%s'"#, path)
                let commit = workspace["commit"].string ?? ""
                #expect(log == "\(commit)|Discobot|discobot@localhost|Discobot|Initial commit\n")
                let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
                #expect(mode == 0o755)
                #expect(try directory.contents(name) == [".git"])
            }
        }
    }

    @Test
    func `cleans paths`() async throws {
        try await TestServer.with { server in
            let path = try await server.directory.makeRepository()
            let parent = server.directory.path
            let up = NSHomeDirectory().split(separator: "/").map { _ in "/.." }.joined()
            for text in ["\(parent)/./x/..//repository/", "\(path)/", "~\(up)\(path)"] {
                let workspace = try await server.client.makeWorkspace(body(["path": text]))
                #expect(workspace["path"].string == path, "\(text)")
                #expect(workspace["status"].string == "ready")
            }
            #expect(try await server.client.get(Self.path).json["workspaces"].list.count == 3)
        }
    }

    @Test
    func `refuses paths that cannot be a workspace and says why`() async throws {
        try await TestServer.with { server in
            let directory = server.directory
            try directory.write("text", to: "file")
            try FileManager.default.createDirectory(atPath: directory.file("full"), withIntermediateDirectories: false)
            try directory.write("text", to: "full/file")
            let refused: [(Any?, String)] = [
                ("", "Path is required"), (" \t", "Path is required"), (nil, "Path is required"), (5, "path"),
                (["a"], "path"), ("relative/path", "absolute"), ("./relative", "absolute"), ("..", "absolute"),
                (directory.file("full"), "not a git repository"), (directory.file("file"), "not a directory"),
                (directory.file("none/below"), "parent directory does not exist"),
                (directory.file("file/below"), "parent directory does not exist"),
            ]
            for (path, reason) in refused {
                let answer = try await server.client.post(Self.path, body(["path": path, "sourceType": "local"]))
                expectRefusal(answer, 400, naming: reason)
            }
            let path = directory.file("new")
            for (fields, word) in [
                (["path": path, "sourceType": "svn"], "sourceType"), (["path": path, "sourceType": 1], "sourceType"),
                (["path": path, "provider": "none"], "provider"), (["path": path, "provider": []], "provider"),
                (["path": path, "displayName": 1], "displayName"), ([:], "Path is required"),
            ] as [([String: Any], String)] {
                expectRefusal(try await server.client.post(Self.path, body(fields)), 400, naming: word)
            }
            #expect(try await server.client.get(Self.path).json["workspaces"].list.isEmpty)
            #expect(!directory.exists("new"))
            #expect(try directory.contents("full") == ["file"])
        }
    }

    @Test(arguments: [
        "ext::sh -c 'touch /tmp/discobot-owned'", "ext::sh%20-c%20id", "fd::17/foo", "-oProxyCommand=id",
        "--upload-pack=id", "ssh://-oProxyCommand=id/repository", "ssh://user@-oProxyCommand=id/repository",
        "git@-oProxyCommand=id:repository", "git@host:-repository", "https://user:s3cret@host/repository.git",
        "https://s3cret@host/repository.git", "ssh://user:s3cret@host/repository", "ftp://host/repository",
        "file://host/repository.git", "https://host", "https:///repository", "https://ho st/repository",
        "https://host/repository\n", "https://host:99999/repository", "https://host/\u{1}", "http::https://host/r",
        "git://user@host/repository", "https://-host/r", "javascript://host/r", "https://host\\r", "file://",
        "https://host/\(String(repeating: "x", count: 2100))",
    ])
    func `refuses dangerous and wrong git URLs`(url: String) async throws {
        try await TestServer.with { server in
            for type in ["git", nil] {
                let answer = try await server.client.post(Self.path, body(["path": url, "sourceType": type]))
                expectRefusal(answer, 400)
                #expect(!answer.text.contains("s3cret"))
            }
            #expect(try await server.client.get(Self.path).json["workspaces"].list.isEmpty)
        }
    }

    @Test
    func `changes the display name only when it is given`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await server.makeLocalWorkspace()
            let before = try await client.get("\(Self.path)/\(id)").json
            func update(_ text: String) async throws -> JSON {
                let answer = try await client.put("\(Self.path)/\(id)", text)
                #expect(answer.status == 200, "\(answer.text)")
                let stored = try await client.get("\(Self.path)/\(id)").json
                #expect(stored == answer.json)
                return stored
            }
            #expect(try await update("{}") == before)
            #expect(try await update(#"{"displayName":"Name"}"#)["displayName"].string == "Name")
            #expect(try await update("{}")["displayName"].string == "Name")
            let same = try await update(body(["path": before["path"].string, "provider": "docker", "status": "error"]))
            #expect(same["displayName"].string == "Name")
            #expect(same["provider"].string == "" && same["status"].string == "ready")
            #expect(try await update(#"{"displayName":""}"#) == before)
            _ = try await update(#"{"displayName":"Again"}"#)
            #expect(try await update(#"{"displayName":null}"#) == before)
            for (text, word) in [
                (#"{"displayName":1}"#, "displayName"), (#"{"path":""}"#, "Path is required"), ("", "body"),
                (#"{"path":"relative"}"#, "absolute"), (#"{"path":"/none/none"}"#, "parent directory does not exist"),
                (#"{"path":"https://a:b@host/r"}"#, "credential"), (#"{"path":[]}"#, "path"),
            ] {
                expectRefusal(try await client.put("\(Self.path)/\(id)", text), 400, naming: word)
            }
            #expect(try await client.get("\(Self.path)/\(id)").json == before)
        }
    }

    @Test
    func `prepares a workspace anew when its path changes`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await server.makeLocalWorkspace()
            let other = server.directory.file("other")
            let changed = try await client.put("\(Self.path)/\(id)", body(["path": other]))
            #expect(changed.status == 200)
            #expect(changed.json["path"].string == other)
            #expect(changed.json["status"].string == "initializing")
            #expect(changed.json.keys.isDisjoint(with: ["commit", "workDir", "errorMessage"]))
            let local = try await client.settled(workspace: id)
            #expect(local["status"].string == "ready")
            #expect(local["workDir"].string == other)
            #expect(server.directory.exists("other/.git"))
            #expect(server.directory.exists("repository/README.md"))

            let source = "file://" + server.directory.file("repository")
            _ = try await client.put("\(Self.path)/\(id)", body(["path": source]))
            let remote = try await client.settled(workspace: id)
            #expect(remote["status"].string == "ready", "\(remote)")
            #expect(remote["sourceType"].string == "git")
            #expect(remote["path"].string == source)
            #expect(remote["workDir"].string == server.directory.file("data/workspaces/local/workspaces/\(id)"))
            let files = try await client.get("\(Self.path)/\(id)/git/files").json["files"].list
            #expect(files.map(\.["path"].string) == ["README.md"])
        }
    }

    @Test(arguments: ["", "?deleteFiles=true", "?deleteFiles=false", "?deleteFiles="])
    func `removes a local workspace with its sessions and never its directory`(query: String) async throws {
        try await TestServer.with { server in
            let client = server.client
            let id = try await server.makeLocalWorkspace()
            let kept = try await server.makeLocalWorkspace("kept")
            try await server.insertSession("gone", workspace: id)
            try await server.insertSession("stays", workspace: kept)
            expectRefusal(
                try await client.delete("\(Self.path)/\(id)?deleteFiles=maybe"),
                400,
                naming: "deleteFiles"
            )
            expectSuccess(try await client.delete("\(Self.path)/\(id)\(query)"))
            expectRefusal(try await client.get("\(Self.path)/\(id)"), 404, naming: "Workspace not found")
            expectRefusal(try await client.get("\(Self.path)/\(id)/git/status"), 404, naming: "Workspace not found")
            expectRefusal(try await client.delete("\(Self.path)/\(id)\(query)"), 404, naming: "Workspace not found")
            expectRefusal(try await client.get("/api/projects/local/sessions/gone"), 404)
            #expect(try await client.get("/api/projects/local/sessions/stays").status == 200)
            #expect(try await client.get(Self.path).json["workspaces"].list.map(\.["id"].string) == [kept])
            // A job would have run before this one's, which has a lower priority.
            _ = try await client.makeWorkspace(body(["path": server.directory.file("pass")]))
            #expect(server.directory.exists("repository/README.md"))
            #expect(server.directory.exists("repository/.git/HEAD"))
        }
    }

    @Test
    func `keeps the workspaces of projects apart`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let project = try await client.makeProject()
            let mine = try await server.makeLocalWorkspace()
            let theirs = try await server.makeLocalWorkspace("theirs", project: project)
            for (project, id) in [("local", theirs), (project, mine)] {
                let path = "/api/projects/\(project)/workspaces/\(id)"
                expectRefusal(try await client.get(path), 404, naming: "Workspace not found")
                expectRefusal(try await client.put(path, #"{"displayName":"Stolen"}"#), 404)
                expectRefusal(try await client.delete("\(path)?deleteFiles=true"), 404)
                expectRefusal(try await client.get("\(path)/sessions"), 404, naming: "Workspace not found")
                for call in ["status", "branches", "diff", "files", "file?path=README.md", "log"] {
                    expectRefusal(try await client.get("\(path)/git/\(call)"), 404, naming: "Workspace not found")
                }
                for (call, text) in [
                    ("fetch", ""), ("checkout", #"{"ref":"main"}"#), ("file", #"{"path":"a","content":"x"}"#),
                    ("stage", "{}"), ("commit", #"{"message":"x"}"#),
                ] {
                    expectRefusal(try await client.post("\(path)/git/\(call)", text), 404)
                }
                #expect(try await client.get("/api/projects/\(project)/workspaces").json["workspaces"].list.count == 1)
            }
            #expect(try await client.get("\(Self.path)/\(mine)").json["displayName"].isNull)
            #expect(try server.directory.contents("repository") == [".git", "README.md"])
        }
    }

    @Test
    func `shows sessions with one workspace and not in the list`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let first = try await server.makeLocalWorkspace("first")
            let second = try await server.makeLocalWorkspace("second")
            try await server.insertSession("open", workspace: first, age: 2)
            try await server.insertSession("closed", workspace: first, commitStatus: .completed, age: 1)
            try await server.insertSession("other", workspace: second)
            let list = try await client.get(Self.path).json["workspaces"].list
            #expect(list.map(\.["id"].string) == [first, second])
            #expect(list.allSatisfy { $0["sessions"].isList && $0["sessions"].list.isEmpty })
            let sessions = try await client.get("\(Self.path)/\(first)").json["sessions"].list
            #expect(sessions.map(\.["id"].string) == ["closed", "open"])
            #expect(sessions[0] == (try await client.get("/api/projects/local/sessions/closed").json))
        }
    }
}
