// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Git calls that read and write files.
@Suite(.timeLimit(.minutes(10)))
struct GitFileRoutesTests {
    @Test
    func `lists the files of a commit`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            try await Shell.run(
                """
                cd "$0" && mkdir -p deep/er && echo x > deep/er/file && echo x > run && chmod +x run
                ln -s run link && git add -A && git -c user.name=T -c user.email=t@localhost commit -q -m Second
                echo x > untracked
                """,
                server.directory.file("repository")
            )
            let answer = try await client.get("\(git)/files")
            #expect(answer.status == 200 && answer.json.keys == ["files"])
            let files = answer.json["files"].list
            #expect(files.allSatisfy { $0.keys == ["path", "name", "isDir", "size", "mode"] })
            let rows = files.map { "\($0["path"]) \($0["name"]) \($0["isDir"].bool ?? false) \($0["mode"])" }
            #expect(
                rows == [
                    "README.md README.md false 100644", "deep deep true 040000", "deep/er er true 040000",
                    "deep/er/file file false 100644", "link link false 120000", "run run false 100755",
                ]
            )
            #expect(files[0]["size"].int == 6 && files[1]["size"].int == 0)
            let first = try await client.get("\(git)/files?ref=HEAD~1").json["files"].list
            #expect(first.map(\.["path"].string) == ["README.md"])
            expectRefusal(try await client.get("\(git)/file?path=deep&ref=HEAD"), 400)
            expectRefusal(try await client.get("\(git)/file?path=deep"), 400, naming: "directory")
            expectRefusal(try await client.get("\(git)/file?path=untracked&ref=HEAD"), 404, naming: "File not found")
        }
    }

    @Test
    func `reads and writes files of the working copy and of commits`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            let read = try await client.get("\(git)/file?path=README.md")
            #expect(read.status == 200)
            #expect(read.json.keys == ["path", "ref", "content", "encoding"])
            #expect(read.json["path"].string == "README.md" && read.json["ref"].string == "")
            #expect(read.json["content"].string == "hello\n" && read.json["encoding"].string == "utf8")

            expectSuccess(try await client.post("\(git)/file", #"{"path":"README.md","content":"new ü"}"#))
            #expect(try await client.get("\(git)/file?path=README.md").json["content"].string == "new ü")
            let old = try await client.get("\(git)/file?path=README.md&ref=HEAD").json
            #expect(old["content"].string == "hello\n" && old["ref"].string == "HEAD")

            expectSuccess(try await client.post("\(git)/file", #"{"path":"a/b/./c//d","content":""}"#))
            let path = server.directory.file("repository/a/b/c/d")
            #expect(try Data(contentsOf: URL(filePath: path)).isEmpty)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o644)
            let bytes = Data([0, 255, 1, 13, 10])
            let binary = ["path": "bin", "content": bytes.base64EncodedString(), "encoding": "base64"]
            expectSuccess(try await client.post("\(git)/file", body(binary)))
            #expect(try Data(contentsOf: URL(filePath: server.directory.file("repository/bin"))) == bytes)
            let found = try await client.get("\(git)/file?path=bin").json
            #expect(found["encoding"].string == "base64")
            #expect(found["content"].string == bytes.base64EncodedString())

            try await Shell.run(#"chmod 755 "$0""#, server.directory.file("repository/bin"))
            expectSuccess(try await client.post("\(git)/file", #"{"path":"bin","content":"x"}"#))
            let kept = try FileManager.default.attributesOfItem(atPath: server.directory.file("repository/bin"))
            #expect(kept[.posixPermissions] as? Int == 0o755)
            #expect(try server.directory.contents("repository") == [".git", "README.md", "a", "bin"])
        }
    }

    @Test(arguments: [
        "with space", "line\nbreak", "日本語 ü 💡", "-rf", "--help", "a\"quote'", "back\\slash", "*", "a+b&c=d#e?f%20g",
        "$(id)",
        ":(top)x", "tab\tname", " lead and trail ", "e\u{301}", "dir with space/-x", "a|b;c",
    ])
    func `takes any name of a file`(name: String) async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            expectSuccess(try await client.post("\(git)/file", body(["path": name, "content": "one"])))
            let untracked = try await client.get("\(git)/status").json["untracked"].list.map(\.string)
            #expect(untracked.map { $0.map { Array($0.utf8) } } == [Array(name.utf8)])
            expectSuccess(try await client.post("\(git)/stage", body(["paths": [name]])))
            #expect(try await client.get("\(git)/status").json["staged"][0]["path"].string == name)
            #expect(try await client.post("\(git)/commit", #"{"message":"x"}"#).status == 201)
            for query in ["", "&ref=HEAD"] {
                let file = try await client.get("\(git)/file?path=\(name.escaped)\(query)")
                #expect(file.json["content"].string == "one", "\(file.text)")
                #expect(file.json["path"].string == name)
            }
            let files = try await client.get("\(git)/files").json["files"].list.map(\.["path"].string)
            #expect(files.contains(name))
            expectSuccess(try await client.post("\(git)/file", body(["path": name, "content": "two"])))
            let diffs = try await client.get("\(git)/diff?path=\(name.escaped)").json["diffs"].list
            #expect(diffs.map(\.["path"].string) == [name])
        }
    }

    @Test
    func `refuses wrong files and names the field`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            for query in ["", "?path=", "?path=%20", "?ref=HEAD"] {
                expectRefusal(try await client.get("\(git)/file\(query)"), 400, naming: "path is required")
            }
            for query in ["?path=none", "?path=README.md/none", "?path=none/none", "?path=none&ref=HEAD"] {
                expectRefusal(try await client.get("\(git)/file\(query)"), 404, naming: "File not found")
            }
            for (text, status, word) in [
                (#"{"content":"x"}"#, 400, "path is required"), (#"{"path":"a"}"#, 400, "content is required"),
                (#"{"path":"","content":"x"}"#, 400, "path is required"), (#"{"path":1,"content":""}"#, 400, "path"),
                (#"{"path":"a","content":1}"#, 400, "content"), (#"{"path":"a","content":null}"#, 400, "content"),
                (#"{"path":"a","content":"x","encoding":"latin1"}"#, 400, "encoding"),
                (#"{"path":"a","content":"*","encoding":"base64"}"#, 400, "base64"),
                (#"{"path":".","content":"x"}"#, 400, "path"),
                (#"{"path":"README.md/x","content":"x"}"#, 404, ""), ("", 400, "body"), ("[]", 400, "body"),
            ] {
                expectRefusal(try await client.post("\(git)/file", text), status, naming: word)
            }
            let large = String(repeating: "x", count: (10 << 20) + 1)
            expectRefusal(try await client.post("\(git)/file", #"{"path":"a","content":"\#(large)"}"#), 413)
            expectRefusal(try await client.post("\(git)/file", #"{"path":"a","content":"\#(large)\#(large)"}"#), 413)
            #expect(try server.directory.contents("repository") == [".git", "README.md"])
        }
    }

    @Test
    func `never leaves the repository`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let directory = server.directory
            let git = "/api/projects/local/workspaces/\(try await server.makeLocalWorkspace())/git"
            try directory.write("secret", to: "outside")
            try FileManager.default.createDirectory(
                atPath: directory.file("elsewhere"),
                withIntermediateDirectories: false
            )
            try directory.write("secret", to: "elsewhere/file")
            try await Shell.run(
                """
                cd "$0" && ln -s ../outside out && ln -s "$1/outside" absolute && ln -s ../elsewhere dir
                ln -s ../new dangling && ln -s loop loop && ln -s . here && ln -s .git dotgit && ln -s README.md inside
                git add -A && git -c user.name=T -c user.email=t@localhost commit -q -m Links
                """,
                directory.file("repository"),
                directory.path
            )
            let before = try String(contentsOfFile: directory.file("repository/.git/config"), encoding: .utf8)
            for path in [
                "../outside", "a/../../outside", "..", "./../outside", "\(directory.path)/outside", "/etc/passwd",
                "~/.profile/../..", "README.md/../../outside", "out", "absolute", "dir/file", "dir/new", "dangling",
                "loop", "loop/x", "here/../outside", "dir/../outside", ".git/config", ".GIT/config", "./.git/config",
                "sub/.git/config", ".git", "dotgit/config", "here/.git/config", "here/dotgit/hooks/x",
                "../repository/x",
                "a\0b", "../outside\0", String(repeating: "a/", count: 3000) + "b", String(repeating: "x", count: 300),
            ] {
                let read = try await client.get("\(git)/file?path=\(path.escaped)")
                #expect((400..<500).contains(read.status), "\(path.prefix(40)): \(read.text)")
                #expect(!read.text.contains("secret"), "\(path)")
                let written = try await client.post("\(git)/file", body(["path": path, "content": "owned"]))
                #expect((400..<500).contains(written.status), "\(path.prefix(40)): \(written.text)")
                expectRefusal(written, written.status)
            }
            #expect(try directory.contents() == ["data", "elsewhere", "outside", "repository"])
            #expect(try directory.contents("elsewhere") == ["file"])
            for name in ["outside", "elsewhere/file"] {
                #expect(try String(contentsOfFile: directory.file(name), encoding: .utf8) == "secret")
            }
            #expect(try String(contentsOfFile: directory.file("repository/.git/config"), encoding: .utf8) == before)
            #expect(try await client.get("\(git)/file?path=inside").json["content"].string == "hello\n")
            // Of a commit, a link is the path that it has, not what is there.
            let link = try await client.get("\(git)/file?path=out&ref=HEAD").json["content"].string
            #expect(link == "../outside")
        }
    }
}
