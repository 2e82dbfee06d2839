// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

/// Status and diff, for every kind of change and every kind of name.
@Suite(.timeLimit(.minutes(10))) struct GitChangesTests {
    static let oddNames = [
        "with space", "two  spaces ", "line\nbreak", "quote\"d", "it's", "tab\tbed", "ünï-文字", "pi|pe", "-leading",
        "--option", ":(glob)*", "*", "back\\slash", "\u{301}mark", "carriage\r\nreturn", "a -> b", "unit\u{1F}sep",
        "dir with space/-x", "b/a", "a/b",
    ]

    @Test func `survives any name`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            for name in Self.oddNames { try fixture.write("\(name)\n", to: "repo/" + name) }
            #expect(Set(try await repository.status().untracked) == Set(Self.oddNames))
            for name in Self.oddNames { try await repository.stage([name]) }
            #expect(Set(try await repository.status().staged.map(\.path)) == Set(Self.oddNames))
            let diffs = try await repository.diff(GitDiffRequest(staged: true))
            #expect(Set(diffs.map(\.path)) == Set(Self.oddNames))
            for diff in diffs {
                #expect(diff.patch.utf8.contains("+\(diff.path.prefix { $0 != "\n" && $0 != "\r\n" })".utf8))
            }
            _ = try await repository.commit(message: "odd")
            let files = try await repository.files().filter { !$0.isDir && $0.path != "a.txt" }
            #expect(Set(files.map(\.path)) == Set(Self.oddNames))
            for name in Self.oddNames {
                #expect(try await repository.file(name, at: "HEAD") == Array("\(name)\n".utf8))
                #expect(try repository.workingFile(name) == Array("\(name)\n".utf8))
                #expect(try await repository.diff(GitDiffRequest(base: "HEAD", paths: [name])).isEmpty)
            }
        }
    }

    @Test func `survives names that are not UTF-8`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            let name = Array(fixture.path("repo/").utf8) + [0x78, 0xFF, 0x79, 0]
            let descriptor = name.withUnsafeBufferPointer { bytes in
                bytes.withMemoryRebound(to: CChar.self) { open($0.baseAddress!, O_CREAT | O_WRONLY, 0o644) }
            }
            try #require(descriptor >= 0)
            close(descriptor)
            #expect(try await repository.status().untracked == ["x\u{FFFD}y"])
            try await repository.stage([])
            #expect(try await repository.diff(GitDiffRequest(staged: true)).map(\.path) == ["x\u{FFFD}y"])
            _ = try await repository.commit(message: "bytes")
            #expect(try await repository.files().map(\.path) == ["a.txt", "x\u{FFFD}y"])
        }
    }

    @Test func `tells all kinds of changes`() async throws {
        try await Fixture.with { fixture in
            let long = (1...50).map { "line \($0)\n" }.joined()
            let repository = try await fixture.repository(files: [
                "modified": "1\n2\n", "deleted": "x\n", "old name": long, "mode": "x\n", "type": "x\n", "binary": "x\n",
            ])
            try fixture.write("1\n3\n4\n", to: "repo/modified")
            try FileManager.default.removeItem(atPath: fixture.path("repo/deleted"))
            _ = try await repository.git("mv", "old name", "new\nname")
            chmod(fixture.path("repo/mode"), 0o755)
            try FileManager.default.removeItem(atPath: fixture.path("repo/type"))
            try fixture.link("repo/type", to: "modified")
            try fixture.write([0, 1, 2], to: "repo/binary")
            try fixture.write("", to: "repo/added")

            let unstaged = try await repository.status()
            #expect(
                Dictionary(uniqueKeysWithValues: unstaged.unstaged.map { ($0.path, $0.status) }) == [
                    "binary": .modified, "deleted": .deleted, "mode": .modified, "modified": .modified,
                    "type": .typechanged,
                ]
            )
            #expect(unstaged.staged == [GitFileChange(path: "new\nname", status: .renamed, oldPath: "old name")])
            #expect(unstaged.untracked == ["added"])
            #expect(!unstaged.isClean && !unstaged.hasConflicts)

            try await repository.stage([])
            let diffs = try await repository.diff(GitDiffRequest(staged: true))
            try #require(diffs.map(\.path) == ["added", "binary", "deleted", "mode", "modified", "new\nname", "type"])
            #expect(
                diffs.map(\.status) == [.added, .modified, .deleted, .modified, .modified, .renamed, .typechanged]
            )
            #expect(diffs.map(\.binary) == [false, true, false, false, false, false, false])
            #expect(diffs.map(\.additions) == [0, 0, 0, 0, 2, 0, 1])
            #expect(diffs.map(\.deletions) == [0, 0, 1, 0, 1, 0, 1])
            #expect(diffs.map(\.oldPath) == ["", "", "", "", "", "old name", ""])
            #expect(diffs[4].patch.contains("-2\n+3\n+4\n"))
            #expect(diffs[3].patch.contains("new mode 100755"))
            #expect(diffs[5].patch.contains("rename from old name"))
            #expect(
                diffs[6].patch.contains("deleted file mode 100644") && diffs[6].patch.contains("new file mode 120000")
            )
        }
    }

    @Test func `is not misled by content that looks like a patch`() async throws {
        try await Fixture.with { fixture in
            let trap = "diff --git a/x b/x\n* Unmerged path x\n--- a/x\n\0@@\n".replacing("\0", with: "")
            let repository = try await fixture.repository(files: ["a": trap, "b": "b\n", "c": trap])
            _ = try await repository.git("config", "diff.suppressBlankEmpty", "true")
            for name in ["a", "b", "c"] { try fixture.write("\n" + trap + trap, to: "repo/" + name) }
            let diffs = try await repository.diff(GitDiffRequest())
            #expect(diffs.map(\.path) == ["a", "b", "c"])
            for diff in diffs { #expect(diff.patch.hasPrefix("diff --git a/\(diff.path) b/\(diff.path)\n")) }
        }
    }

    @Test func `ignores configuration that changes the format`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a": "1\n", "b": "1\n"])
            for setting in [
                "diff.noprefix=true", "diff.mnemonicPrefix=true", "diff.renames=false", "color.diff=always",
                "diff.context=0", "diff.submodule=log", "diff.orderFile=/nonexistent", "status.showUntrackedFiles=no",
                "diff.external=/bin/false", "core.quotePath=true", "log.showSignature=true", "status.renames=false",
                "log.date=relative", "format.pretty=oneline", "color.ui=always", "column.ui=always",
                "diff.relative=true",
                "status.branch=false", "log.decorate=full", "commit.template=/nonexistent", "commit.cleanup=strip",
            ] {
                let parts = setting.split(separator: "=").map(String.init)
                _ = try await repository.git("config", parts[0], parts[1])
            }
            try fixture.write("2\n", to: "repo/a")
            let diff = try #require(try await repository.diff(GitDiffRequest()).first)
            #expect(diff.patch.hasPrefix("diff --git a/a b/a\n"))
            #expect(!diff.patch.contains("\u{1B}"))
            _ = try await repository.git("mv", "b", "c")
            #expect(try await repository.status().staged.map(\.status) == [.renamed])
            try await repository.stage([])
            #expect(try await repository.commit(message: "# kept").message == "# kept")
            #expect(try await repository.branches().count == 1)
        }
    }

    @Test func `finds copies where git reports them`() throws {
        let record =
            "2 C. N... 100644 100644 100644 \(String(repeating: "a", count: 40)) "
            + "\(String(repeating: "a", count: 40)) C100 new name\0old name\0"
        let status = GitStatus(porcelain: Array(record.utf8))
        #expect(status.staged == [GitFileChange(path: "new name", status: .copied, oldPath: "old name")])
        let diff = ":100644 100644 aaa aaa C100\0old\0new\u{0}0\t0\t\0old\0new\0\0diff --git a/old b/new\n"
        let diffs = try GitDiffParser.parse(Array(diff.utf8))
        #expect(diffs.map(\.status) == [.copied])
        #expect(diffs.map(\.oldPath) == ["old"])
    }

    @Test(arguments: [":100644", ":1 1 a a M\0", ":1 1 a a M\0x\0\0", "1\t2\0", "\0diff --git a/x b/x\n", "x\0"])
    func `refuses a diff that does not fit together`(text: String) async {
        let bytes = Array(text.utf8)
        guard text != ":100644" else {
            // Without a NUL there is no record.
            #expect((try? GitDiffParser.parse(bytes))?.isEmpty == true)
            return
        }
        #expect(await errorCode { try GitDiffParser.parse(bytes) } == .failed)
    }

    @Test func `shows a conflict once`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a.txt": "one\n", "b.txt": "b\n"])
            try await repository.makeConflict(in: fixture)
            try fixture.write("changed\n", to: "repo/b.txt")
            let status = try await repository.status()
            #expect(status.hasConflicts)
            #expect(
                status.unstaged == [
                    GitFileChange(path: "b.txt", status: .modified, oldPath: nil),
                    GitFileChange(path: "a.txt", status: .unmerged, oldPath: nil),
                ]
            )
            let diffs = try await repository.diff(GitDiffRequest())
            #expect(diffs.map(\.path) == ["a.txt", "b.txt"])
            #expect(diffs.map(\.status) == [.unmerged, .modified])
            #expect(diffs.first?.patch.contains("+<<<<<<<") == true)
            #expect(diffs.first?.additions == 4)
            let staged = try await repository.diff(GitDiffRequest(staged: true))
            #expect(staged.map(\.status) == [.unmerged] && staged.map(\.patch) == [""])
            #expect(try await repository.diff(GitDiffRequest(base: "HEAD")).map(\.path) == ["a.txt", "b.txt"])
            #expect(await errorCode { try await repository.commit(message: "x") } == .conflict)
        }
    }

    @Test func `compares commits, index and working tree`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: ["a": "1\n", "b": "1\n"])
            try fixture.write("2\n", to: "repo/a")
            _ = try await repository.git("commit", "--quiet", "-am", "second")
            try fixture.write("3\n", to: "repo/b")
            let paths = { (request: GitDiffRequest) in try await repository.diff(request).map(\.path) }
            #expect(try await paths(GitDiffRequest()) == ["b"])
            #expect(try await paths(GitDiffRequest(staged: true)) == [])
            #expect(try await paths(GitDiffRequest(base: "HEAD~1")) == ["a", "b"])
            #expect(try await paths(GitDiffRequest(base: "HEAD~1", head: "HEAD")) == ["a"])
            #expect(try await paths(GitDiffRequest(staged: true, base: "HEAD~1")) == ["a"])
            #expect(try await paths(GitDiffRequest(base: "HEAD~1", paths: ["b"])) == ["b"])
            #expect(await errorCode { try await paths(GitDiffRequest(head: "HEAD")) } == .invalidArgument)
            #expect(await errorCode { try await paths(GitDiffRequest(base: "nope")) } == .notFound)
            #expect(await errorCode { try await paths(GitDiffRequest(base: "--output=x")) } == .invalidArgument)
            #expect(await errorCode { try await paths(GitDiffRequest(paths: ["../x"])) } == .invalidArgument)
        }
    }

    @Test func `counts commits ahead and behind`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository("origin")
            let clone = try await GitRepository.clone(
                "file://" + origin.directory,
                into: fixture.path("clone"),
                environment: fixture.environment
            )
            _ = try await origin.git("commit", "--quiet", "--allow-empty", "-m", "theirs")
            for message in ["one", "two"] {
                _ = try await clone.git("commit", "--quiet", "--allow-empty", "-m", message)
            }
            try await clone.fetch()
            let status = try await clone.status()
            #expect(status.ahead == 2 && status.behind == 1)
            #expect(status.branch == "main" && status.isClean)
            #expect(try await status.commit == clone.headCommit())
            #expect(status.commitShort == String(status.commit.prefix(7)))
        }
    }
}
