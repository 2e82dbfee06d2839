// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Git calls that compare commits and list them.
@Suite(.timeLimit(.minutes(10)))
struct GitLogRoutesTests {
    @Test
    func `pages the log without a gap while commits are added`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let repository = try await server.directory.makeLargeRepository("large", commits: 120)
            let workspace = try await client.makeWorkspace(body(["path": repository]))
            let git = "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git"
            let whole = try await client.get("\(git)/log?limit=1000").json
            #expect(whole["commits"].list.map(\.["message"].string) == (1...120).reversed().map { "Commit \($0)" })
            #expect(whole.keys == ["commits"])
            let standard = try await client.get("\(git)/log").json
            #expect(standard["commits"].list.count == 50)
            #expect(standard.keys == ["commits", "nextCursor"])

            var messages: [String?] = []
            var query = "limit=17"
            for _ in 0..<20 {
                let page = try await client.get("\(git)/log?\(query)").json
                messages += page["commits"].list.map(\.["message"].string)
                guard let cursor = page["nextCursor"].string else { break }
                query = "limit=17&cursor=\(cursor.escaped)"
                try await Shell.run(
                    #"git -C "$0" -c user.name=T -c user.email=t@localhost commit -q --allow-empty -m New"#,
                    repository
                )
            }
            #expect(messages == (1...120).reversed().map { "Commit \($0)" })
            let exact = try await client.get("\(git)/log?limit=1&ref=HEAD~7").json["commits"].list
            #expect(exact.map(\.["message"].string) == ["Commit 120"])
            let end = try await client.get("\(git)/log?limit=120&ref=HEAD~7").json
            #expect(end["commits"].list.count == 120 && !end.keys.contains("nextCursor"))
        }
    }

    @Test
    func `refuses wrong refs, limits and cursors`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            for limit in ["0", "1001", "-1", "abc", "1.5", "99999999999999999999", "1%00"] {
                expectRefusal(try await client.get("\(git)/log?limit=\(limit)"), 400, naming: "limit")
            }
            func cursor(_ text: String) -> String { Data(text.utf8).base64EncodedString().escaped }
            let zeros = String(repeating: "0", count: 40)
            for text in [
                "HEAD:1", "abc", "abc:", ":1", "abc:-1", "abc:x", "--all:1", "abc:99999999999999999999", "a b:1",
            ] {
                expectRefusal(try await client.get("\(git)/log?cursor=\(cursor(text))"), 400, naming: "cursor")
            }
            for text in ["!", "x", "%00", "====", "%F0%9F%92%A1"] {
                expectRefusal(try await client.get("\(git)/log?cursor=\(text)"), 400, naming: "cursor")
            }
            expectRefusal(try await client.get("\(git)/log?cursor=\(cursor("\(zeros):1"))"), 404)
            for (ref, status) in [
                ("none", 404), ("--all", 400), ("-n1", 400), ("a%0Ab", 400), ("a%00b", 400), (zeros, 404),
                ("HEAD:README.md", 404), ("main..main", 404), ("HEAD~5", 404), ("main@%7B99%7D", 404),
            ] {
                expectRefusal(try await client.get("\(git)/log?ref=\(ref)"), status)
                expectRefusal(try await client.get("\(git)/files?ref=\(ref)"), status)
                expectRefusal(try await client.get("\(git)/file?path=README.md&ref=\(ref)"), status)
                expectRefusal(try await client.get("\(git)/diff?base=\(ref)"), status)
                expectRefusal(try await client.get("\(git)/diff?base=HEAD&head=\(ref)"), status)
            }
        }
    }

    @Test
    func `shows changes by file`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            func diff(_ query: String) async throws -> [String?: JSON] {
                let answer = try await client.get("\(git)/diff?\(query)")
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.json.keys == ["diffs"] && answer.json["diffs"].isList)
                let diffs = answer.json["diffs"].list
                let keys: Set = ["path", "oldPath", "status", "binary", "additions", "deletions", "patch"]
                #expect(diffs.allSatisfy { $0.keys == keys })
                return Dictionary(diffs.map { ($0["path"].string, $0) }) { first, _ in first }
            }
            #expect(try await diff("").isEmpty)
            try await Shell.run(
                #"""
                cd "$0" && git config user.name T && git config user.email t@localhost && mkdir sub
                printf '1\n2\n3\n4\n5\n6\n' > sub/old && printf 'x' > -dash && git add -A && git commit -q -m Second
                git tag second && git mv sub/old sub/new && printf '\0\1' > binary && git add -A
                git commit -q -m Third && echo hello >> README.md && echo staged > staged && git add staged
                """#,
                server.directory.file("repository")
            )
            let unstaged = try await diff("")
            #expect(Set(unstaged.keys) == ["README.md"])
            #expect(unstaged["README.md"]?["status"].string == "modified")
            #expect(unstaged["README.md"]?["additions"].int == 1)
            #expect(unstaged["README.md"]?["deletions"].int == 0)
            #expect(unstaged["README.md"]?["binary"].bool == false)
            #expect(unstaged["README.md"]?["oldPath"].string == "")
            let patch = unstaged["README.md"]?["patch"].string ?? ""
            #expect(patch.hasPrefix("diff --git a/README.md b/README.md\n") && patch.contains("\n+hello\n"))
            #expect(try await diff("staged=false") == unstaged)
            let staged = try await diff("staged=true")
            #expect(Set(staged.keys) == ["staged"] && staged["staged"]?["status"].string == "added")

            let base = try await diff("base=second")
            #expect(Set(base.keys) == ["README.md", "binary", "staged", "sub/new"])
            let both = try await diff("base=second&head=HEAD")
            #expect(Set(both.keys) == ["binary", "sub/new"])
            #expect(both["sub/new"]?["status"].string == "renamed")
            #expect(both["sub/new"]?["oldPath"].string == "sub/old")
            #expect(both["binary"]?["binary"].bool == true)
            #expect(try await diff("base=second&target=HEAD") == both)
            let backwards = try await diff("base=HEAD&head=second")
            #expect(backwards["binary"]?["status"].string == "deleted")
            #expect(Set(try await diff("base=HEAD~2&head=HEAD&path=sub&path=-dash").keys) == ["sub/new", "-dash"])
            #expect(Set(try await diff("base=second&path=none").keys).isEmpty)
            #expect(try await diff("base=HEAD&head=HEAD").isEmpty)
        }
    }

    @Test
    func `refuses wrong parameters of a diff`() async throws {
        try await TestServer.with { server in
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            for (query, word) in [
                ("staged=maybe", "staged"), ("head=HEAD", "base"), ("staged=true&base=HEAD&head=HEAD", "staged"),
                ("path=../x", "leaves"), ("path=/etc/passwd", "relative"), ("path=.git/config", ".git"),
                ("path=a%00b", "NUL"), ("path=README.md&path=", "empty"), ("base=--output%3D/tmp/x", "revision"),
            ] {
                expectRefusal(try await server.client.get("\(git)/diff?\(query)"), 400, naming: word)
            }
        }
    }
}
