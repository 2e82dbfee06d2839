// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Git calls about branches, changes and commits.
@Suite(.timeLimit(.minutes(10)))
struct GitRoutesTests {
    /// Runs `body` with a workspace of a repository with one commit, and the path of the git calls.
    private static func with(
        _ body: @escaping @Sendable (TestServer, _ git: String, _ repository: String) async throws -> Void
    ) async throws {
        try await TestServer.with { server in
            let id = try await server.makeLocalWorkspace()
            let git = "/api/projects/local/workspaces/\(id)/git"
            try await body(server, git, server.directory.file("repository"))
        }
    }

    private static let commitKeys: Set = [
        "sha", "shortSha", "message", "author", "authorEmail", "authorDate", "committer", "commitDate", "parents",
    ]

    @Test
    func `tells the state of a working copy`() async throws {
        try await Self.with { server, git, repository in
            let clean = try await server.client.get("\(git)/status")
            #expect(clean.status == 200)
            #expect(
                clean.json.keys == [
                    "branch", "commit", "commitShort", "ahead", "behind", "staged", "unstaged", "untracked", "isClean",
                    "hasConflicts",
                ]
            )
            #expect(clean.json["branch"].string == "main")
            let commit = try #require(clean.json["commit"].string)
            #expect(commit.isCommitID)
            #expect(clean.json["commitShort"].string == String(commit.prefix(7)))
            for list in ["staged", "unstaged", "untracked"] { #expect(clean.json[list].isList) }
            #expect(clean.json["isClean"].bool == true && clean.json["hasConflicts"].bool == false)
            #expect(clean.json["ahead"].int == 0 && clean.json["behind"].int == 0)

            try await Shell.run(
                """
                cd "$0" && git mv README.md 'new name.md' && echo x > added && git add added && echo more >> added
                echo x > -dash && echo x > 'line
                break' && echo x > 'ü "quoted"' && mkdir sub && echo x > sub/a
                """,
                repository
            )
            let status = try await server.client.get("\(git)/status").json
            let staged = status["staged"].list.sorted { "\($0)" < "\($1)" }
            #expect(Set(staged.map(\.["path"].string)) == ["new name.md", "added"])
            let renamed = try #require(staged.first { $0["path"].string == "new name.md" })
            #expect(renamed.keys == ["path", "status", "oldPath"])
            #expect(renamed["status"].string == "renamed" && renamed["oldPath"].string == "README.md")
            let added = try #require(staged.first { $0["path"].string == "added" })
            #expect(added.keys == ["path", "status"] && added["status"].string == "added")
            #expect(status["unstaged"].list.map(\.["path"].string) == ["added"])
            #expect(status["unstaged"][0]["status"].string == "modified")
            let untracked = Set(status["untracked"].list.map(\.string))
            #expect(untracked == ["-dash", "line\nbreak", "ü \"quoted\"", "sub/a"])
            #expect(status["isClean"].bool == false)
        }
    }

    @Test
    func `tells of conflicts`() async throws {
        try await Self.with { server, git, repository in
            try await Shell.run(
                """
                cd "$0" && git config user.name T && git config user.email t@localhost
                git checkout -q -b other && echo other > README.md && git commit -q -am Other
                git checkout -q main && echo main > README.md && git commit -q -am Main
                git merge -q other || true
                """,
                repository
            )
            let status = try await server.client.get("\(git)/status").json
            #expect(status["hasConflicts"].bool == true)
            #expect(status["unstaged"].list.map(\.["status"].string) == ["unmerged"])
            expectRefusal(try await server.client.post("\(git)/commit", #"{"message":"x"}"#), 409)
            expectRefusal(try await server.client.post("\(git)/checkout", #"{"ref":"other"}"#), 409)
            let diffs = try await server.client.get("\(git)/diff").json["diffs"].list
            #expect(Set(diffs.map(\.["path"].string)) == ["README.md"])
        }
    }

    @Test
    func `checks out branches, tags and commits`() async throws {
        try await Self.with { server, git, repository in
            let client = server.client
            try await Shell.run(
                """
                cd "$0" && git config user.name T && git config user.email t@localhost && git tag v1
                git checkout -q -b feature/x && echo x > README.md && git commit -q -am Second && git checkout -q main
                """,
                repository
            )
            let branches = try await client.get("\(git)/branches").json["branches"].list
            #expect(branches.map(\.["name"].string) == ["feature/x", "main"])
            #expect(branches.allSatisfy { $0.keys == ["name", "isRemote", "isCurrent", "commit", "upstream"] })
            #expect(branches.allSatisfy { $0["isRemote"].bool == false && $0["upstream"].string == "" })
            #expect(branches.map(\.["isCurrent"].bool) == [false, true])
            #expect(branches.allSatisfy { $0["commit"].string?.isCommitID == true })

            expectSuccess(try await client.post("\(git)/checkout", #"{"ref":"feature/x"}"#))
            let path = String(git.dropLast("/git".count))
            #expect(try await client.get(path).json["commit"] == branches[0]["commit"])
            #expect(try await client.get("\(git)/status").json["branch"].string == "feature/x")
            let news = try #require(try await client.events().last)
            #expect(news["type"].string == "workspace_updated" && news["data"]["status"].string == "ready")
            for ref in ["v1", branches[1]["commit"].string ?? "", "feature/x~1"] {
                expectSuccess(try await client.post("\(git)/checkout", body(["ref": ref])))
                let status = try await client.get("\(git)/status").json
                #expect(status["branch"].string == "HEAD")
                #expect(status["commit"] == branches[1]["commit"])
            }
            for (ref, status) in [
                ("none", 404), ("", 400), ("  ", 400), ("-f", 400), ("--orphan=x", 400), ("a\nb", 400), ("main:x", 404),
                ("README.md", 404), (String(repeating: "x", count: 2000), 400),
            ] {
                expectRefusal(try await client.post("\(git)/checkout", body(["ref": ref])), status)
            }
            for text in ["{}", #"{"ref":null}"#] {
                expectRefusal(try await client.post("\(git)/checkout", text), 400, naming: "ref is required")
            }
            expectRefusal(try await client.post("\(git)/checkout", #"{"ref":1}"#), 400, naming: "ref")
            try Data("local change".utf8).write(to: URL(filePath: repository + "/README.md"))
            expectRefusal(try await client.post("\(git)/checkout", #"{"ref":"feature/x"}"#), 409)
            let kept = try await client.get("\(git)/file?path=README.md").json["content"].string
            #expect(kept == "local change")
        }
    }

    @Test
    func `fetches and prunes, and counts what is ahead and behind`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let source = try await server.directory.makeRepository("source")
            let workspace = try await client.makeWorkspace(body(["path": "file://\(source)"]))
            let git = "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git"
            func names() async throws -> [String?] {
                try await client.get("\(git)/branches").json["branches"].list.map(\.["name"].string)
            }
            let first = try await client.get("\(git)/branches").json["branches"].list
            #expect(first.map(\.["name"].string) == ["main", "origin/main"])
            #expect(first.map(\.["isRemote"].bool) == [false, true])
            #expect(first.map(\.["upstream"].string) == ["origin/main", ""])
            try await Shell.run(
                """
                cd "$0" && git -c user.name=T -c user.email=t@localhost commit -q --allow-empty -m Two
                git branch new
                """,
                source
            )
            expectSuccess(try await client.send(.post, "\(git)/fetch"))
            #expect(try await names() == ["main", "origin/main", "origin/new"])
            #expect(try await client.get("\(git)/status").json["behind"].int == 1)
            _ = try await client.post("\(git)/file", #"{"path":"mine","content":"x"}"#)
            _ = try await client.post("\(git)/stage", "{}")
            #expect(try await client.post("\(git)/commit", #"{"message":"Mine"}"#).status == 201)
            #expect(try await client.get("\(git)/status").json["ahead"].int == 1)
            expectSuccess(try await client.post("\(git)/checkout", #"{"ref":"new"}"#))
            #expect(try await names() == ["main", "new", "origin/main", "origin/new"])
            try await Shell.run(#"git -C "$0" branch -q -D new"#, source)
            expectSuccess(try await client.send(.post, "\(git)/fetch"))
            #expect(try await names() == ["main", "new", "origin/main"])
        }
    }

    @Test
    func `stages and commits`() async throws {
        try await Self.with { server, git, repository in
            let client = server.client
            try await Shell.run(#"cd "$0" && echo ignored > .gitignore && echo a > a && echo b > b"#, repository)
            expectRefusal(try await client.post("\(git)/commit", #"{"message":"x"}"#), 409, naming: "nothing to commit")
            expectSuccess(try await client.post("\(git)/stage", #"{"paths":["a"]}"#))
            #expect(try await client.get("\(git)/status").json["staged"].list.map(\.["path"].string) == ["a"])
            let message = "Say | \"what\" 'it' $(is) \\ ü\n\nBody | line\n-- \nmore"
            let author = ["message": message, "authorName": "Ada | Lovelace", "authorEmail": "ada@localhost"]
            let commit = try await client.post("\(git)/commit", body(author))
            #expect(commit.status == 201, "\(commit.text)")
            #expect(commit.json.keys == Self.commitKeys)
            let sha = try #require(commit.json["sha"].string)
            #expect(sha.isCommitID && commit.json["shortSha"].string == String(sha.prefix(7)))
            #expect(commit.json["author"].string == "Ada | Lovelace")
            #expect(commit.json["authorEmail"].string == "ada@localhost")
            #expect(commit.json["authorDate"].string?.isRFC3339 == true)
            #expect(commit.json["commitDate"].string?.isRFC3339 == true)
            #expect(commit.json["parents"].list.count == 1)
            let log = try await client.get("\(git)/log").json["commits"].list
            #expect(log.count == 2)
            #expect(log[0] == commit.json)
            #expect(log[0]["message"].string == "Say | \"what\" 'it' $(is) \\ ü")
            let stored = try await Shell.run(#"git -C "$0" log -1 --format=%B"#, repository)
            #expect(stored.hasPrefix("Say | \"what\" 'it' $(is) \\ ü\n\nBody | line\n--"))
            let path = String(git.dropLast("/git".count))
            #expect(try await client.get(path).json["commit"].string == sha)

            expectSuccess(try await client.post("\(git)/stage", #"{"paths":[]}"#))
            let second = try await client.post("\(git)/commit", #"{"message":"All","authorName":"Only a name"}"#)
            #expect(second.status == 201)
            #expect(second.json["author"].string != "Only a name")
            #expect(try await client.get("\(git)/status").json["isClean"].bool == true)
            try FileManager.default.removeItem(atPath: repository + "/a")
            expectSuccess(try await client.post("\(git)/stage", #"{"paths":["a"]}"#))
            #expect(try await client.get("\(git)/status").json["staged"][0]["status"].string == "deleted")
        }
    }

    @Test
    func `refuses wrong paths to stage and wrong commits`() async throws {
        try await Self.with { server, git, repository in
            let client = server.client
            try await Shell.run(#"cd "$0" && echo ignored > .gitignore && echo x > ignored"#, repository)
            for (paths, status) in [
                (["none"], 404), (["ignored"], 400), (["../x"], 400), (["/etc/passwd"], 400), ([""], 400),
                ([".git/config"], 400), (["README.md", "none"], 404), ([":(top)README.md"], 404), (["*.md"], 404),
            ] {
                let answer = try await client.post("\(git)/stage", body(["paths": paths]))
                expectRefusal(answer, status)
            }
            for (text, word) in [
                (#"{"paths":"a"}"#, "paths"), (#"{"paths":[1]}"#, "paths[0]"), ("[]", "body"), ("", "body"),
            ] { expectRefusal(try await client.post("\(git)/stage", text), 400, naming: word) }
            #expect(try await client.get("\(git)/status").json["staged"].list.isEmpty)

            expectSuccess(try await client.post("\(git)/stage", "{}"))
            for text in ["{}", #"{"message":""}"#, #"{"message":" \n\t"}"#, #"{"message":null}"#] {
                expectRefusal(try await client.post("\(git)/commit", text), 400, naming: "message is required")
            }
            for fields in [
                ["message": "x", "authorName": "a\nb", "authorEmail": "a@b"],
                ["message": "x", "authorName": "a <b>", "authorEmail": "a@b"],
                ["message": "x", "authorName": "a", "authorEmail": "a>b"],
            ] { expectRefusal(try await client.post("\(git)/commit", body(fields)), 400, naming: "author") }
            expectRefusal(try await client.post("\(git)/commit", #"{"message":1}"#), 400, naming: "message")
            #expect(try await client.get("\(git)/log").json["commits"].list.count == 1)
        }
    }

    @Test
    func `keeps every one of many changes at once`() async throws {
        try await Self.with { server, git, _ in
            let client = server.client
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let file = body(["path": "file\(number)", "content": "x"])
                        expectSuccess(try await client.post("\(git)/file", file))
                        expectSuccess(try await client.post("\(git)/stage", body(["paths": ["file\(number)"]])))
                        // Another task may have committed this one's file along with its own.
                        let commit = try await client.post("\(git)/commit", body(["message": "Commit \(number)"]))
                        #expect([201, 409].contains(commit.status), "\(commit.text)")
                    }
                }
                try await group.waitForAll()
            }
            let files = try await client.get("\(git)/files").json["files"].list
            #expect(files.count == 13)
            #expect(try await client.get("\(git)/status").json["isClean"].bool == true)
        }
    }
}
