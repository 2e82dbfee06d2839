// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

/// Trees, files, staging, commits and their history.
@Suite(.timeLimit(.minutes(10))) struct GitCommitsTests {
    @Test func `lists a tree`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a/b/c.txt": "12345", "run": "x"])
            chmod(fixture.path("repo/run"), 0o755)
            try fixture.link("repo/link", to: "run")
            try await repository.stage([])
            _ = try await repository.commit(message: "second")
            #expect(
                try await repository.files(at: "main") == [
                    GitTreeEntry(path: "a", name: "a", isDir: true, size: 0, mode: "040000"),
                    GitTreeEntry(path: "a/b", name: "b", isDir: true, size: 0, mode: "040000"),
                    GitTreeEntry(path: "a/b/c.txt", name: "c.txt", isDir: false, size: 5, mode: "100644"),
                    GitTreeEntry(path: "link", name: "link", isDir: false, size: 3, mode: "120000"),
                    GitTreeEntry(path: "run", name: "run", isDir: false, size: 1, mode: "100755"),
                ]
            )
            #expect(try await repository.files(at: "HEAD~1").count == 4)
            #expect(await errorCode { try await repository.files(at: "nope") } == .notFound)
        }
    }

    @Test func `reads files of a commit`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a/b.txt": "one\n"])
            try fixture.write("two\n", to: "repo/a/b.txt")
            #expect(try await repository.file("a/b.txt", at: "HEAD") == Array("one\n".utf8))
            #expect(try repository.workingFile("a/b.txt") == Array("two\n".utf8))
            let missing = await error { try await repository.file("a/no.txt", at: "HEAD") }
            #expect(missing == GitError(.notFound, "File not found: a/no.txt"))
            #expect(await errorCode { try await repository.file("a", at: "HEAD") } == .invalidArgument)
            #expect(await errorCode { try await repository.file("../a", at: "HEAD") } == .invalidArgument)
            #expect(await errorCode { try await repository.file("a/b.txt", at: "-x") } == .invalidArgument)
        }
    }

    @Test func `refuses large files`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.emptyRepository()
            try fixture.write([UInt8](repeating: 0x61, count: GitRepository.fileLimit + 1), to: "repo/large")
            try await repository.stage([])
            _ = try await repository.commit(message: "large")
            #expect(await errorCode { try await repository.file("large", at: "HEAD") } == .tooLarge)
            #expect(await errorCode { try repository.workingFile("large") } == .tooLarge)
        }
    }

    @Test func `stages chosen paths, deletions included`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a": "1", "b": "1", "dir/c": "1"])
            try FileManager.default.removeItem(atPath: fixture.path("repo/a"))
            for name in ["b", "dir/c", "*"] { try fixture.write("2", to: "repo/" + name) }
            try await repository.stage(["a", "dir/", "*"])
            let staged = try await repository.status().staged
            #expect(Set(staged.map(\.path)) == ["a", "dir/c", "*"])

            try fixture.write("ignored\n", to: "repo/.gitignore")
            try fixture.write("x", to: "repo/ignored")
            #expect(await errorCode { try await repository.stage(["no"]) } == .notFound)
            #expect(await errorCode { try await repository.stage(["ignored"]) } == .invalidArgument)
            for path in ["../x", "/etc/passwd", "", ".git/config", "a\0b"] {
                #expect(await errorCode { try await repository.stage([path]) } == .invalidArgument)
            }
            try await repository.stage([])
            #expect(try await repository.status().unstaged.isEmpty)
        }
    }

    @Test func `stages more paths than fit on a command line`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            let names = (0..<300).map { "\($0)-" + String(repeating: "x", count: 200) }
            for name in names { try fixture.write("", to: "repo/" + name) }
            try await repository.stage(names)
            #expect(try await repository.status().staged.count == names.count)
        }
    }

    @Test func `commits with any message and author`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try fixture.write("two\n", to: "repo/a.txt")
            try await repository.stage([])
            let subject = "- \"quotes\" | pipe \u{1F} 'x' $(id) ü文"
            let author = GitIdentity(name: "Grace \"G\" O'H", email: "grace@example.com")
            let commit = try await repository.commit(message: subject + "\n\n# kept\nbody\n", author: author)
            #expect(commit.message == subject)
            #expect(commit.author == author.name && commit.authorEmail == author.email)
            #expect(commit.committer == "Ada")
            #expect(commit.sha.hasPrefix(commit.shortSha) && commit.shortSha.count == 7)
            #expect(commit.parents.count == 1)
            #expect(try await repository.git("log", "-1", "--format=%b") == "# kept\nbody")
            #expect((try? Date(commit.authorDate, strategy: .iso8601)) != nil)
            #expect((try? Date(commit.commitDate, strategy: .iso8601)) != nil)
        }
    }

    @Test func `says that there is nothing to commit`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try fixture.write("x", to: "repo/untracked")
            try fixture.write("x", to: "repo/a.txt")
            let error = await error { try await repository.commit(message: "x") }
            #expect(error == GitError(.conflict, "nothing to commit"))
        }
    }

    @Test(arguments: ["", " \n\t", "x\0y"])
    func `refuses a message that cannot be stored`(message: String) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            #expect(await errorCode { try await repository.commit(message: message) } == .invalidArgument)
        }
    }

    @Test(arguments: [("", "a@b"), ("A", ""), ("A\nB", "a@b"), ("A", "a@b>"), (".", "a@b")])
    func `refuses an author that cannot be stored`(name: String, email: String) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try fixture.write("two\n", to: "repo/a.txt")
            try await repository.stage([])
            let author = GitIdentity(name: name, email: email)
            #expect(await errorCode { try await repository.commit(message: "x", author: author) } == .invalidArgument)
        }
    }

    @Test func `falls back to an identity of its own`() async throws {
        try await Fixture.with(identity: false) { fixture in
            let repository = try await fixture.emptyRepository()
            #expect(try await repository.identity() == GitIdentity(name: "", email: ""))
            try fixture.write("x", to: "repo/x")
            try await repository.stage([])
            let author = GitIdentity(name: "Grace", email: "grace@example.com")
            let commit = try await repository.commit(message: "x", author: author)
            #expect(commit.author == "Grace" && commit.committer == "Discobot")
        }
    }

    @Test func `prefers the identity of the repository`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.emptyRepository()
            #expect(try await repository.identity() == GitIdentity(name: "Ada", email: "ada@example.com"))
            _ = try await repository.git("config", "user.name", "Local")
            #expect(try await repository.identity() == GitIdentity(name: "Local", email: "ada@example.com"))
        }
    }

    @Test func `logs pages of history`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            for number in 1...4 {
                _ = try await repository.git("commit", "--quiet", "--allow-empty", "-m", "|\(number)|\n\nbody")
            }
            #expect(try await repository.log().map(\.message) == ["|4|", "|3|", "|2|", "|1|", "first"])
            #expect(try await repository.log(limit: 2, skip: 1).map(\.message) == ["|3|", "|2|"])
            #expect(try await repository.log(ref: "HEAD~3", limit: 9).count == 2)
            #expect(try await repository.log(limit: 0, skip: -1).count == 1)
            #expect(try await repository.log(skip: 99).isEmpty)
        }
    }

    @Test func `logs merges and commits without a message`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            _ = try await repository.git("checkout", "--quiet", "-b", "side")
            _ = try await repository.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", "")
            _ = try await repository.git("checkout", "--quiet", "main")
            _ = try await repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
            let log = try await repository.log()
            #expect(log.first?.message == "merge")
            // Commits of the same second have no order.
            let parents = Dictionary(uniqueKeysWithValues: log.map { ($0.message, $0.parents.count) })
            #expect(parents == ["merge": 2, "": 1, "first": 0])
        }
    }

    @Test func `encodes with the names of the API`() throws {
        let change = GitFileChange(path: "a", status: .typechanged, oldPath: nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let json = { (value: any Encodable) in String(decoding: try encoder.encode(value), as: UTF8.self) }
        #expect(try json(change) == #"{"path":"a","status":"typechanged"}"#)
        #expect(
            try json(GitStatus())
                == #"{"ahead":0,"behind":0,"branch":"","commit":"","commitShort":"","hasConflicts":false,"isClean":true,"#
                + #""staged":[],"unstaged":[],"untracked":[]}"#
        )
    }
}
