// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct WorkingDirectoryEntriesTests {
    private static func inTree(_ body: (Fixture, WorkingDirectory) async throws -> Void) async throws {
        try await Fixture.with { fixture in
            try fixture.write("secret", to: "outside/file")
            try fixture.write("config", to: "work/.git/config")
            try fixture.write("12345", to: "work/b.txt")
            try fixture.write("", to: "work/.hidden")
            try fixture.write("x", to: "work/sub/deep/file")
            try fixture.link("work/a-link", to: "sub")
            try fixture.link("work/leaving", to: "../outside")
            try fixture.link("work/dangling", to: "nothing")
            try await body(fixture, WorkingDirectory(fixture.path("work")))
            #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path("outside/file"))) == Data("secret".utf8))
            #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path("work/.git/config"))) == Data("config".utf8))
        }
    }

    @Test func `lists directories first, without git's files, and hidden ones on request`() async throws {
        try await Self.inTree { fixture, directory in
            let listing = try directory.list(".", includingHidden: false)
            #expect(listing.path == ".")
            #expect(listing.entries.map(\.name) == ["a-link", "sub", "b.txt", "dangling", "leaving"])
            #expect(listing.entries.map(\.type) == [.directory, .directory, .file, .file, .file])
            #expect(listing.entries.map(\.size) == [nil, nil, 5, nil, nil])
            #expect(!listing.truncated)
            #expect(try directory.list("./", includingHidden: true).entries.map(\.name).contains(".hidden"))
            #expect(try directory.list("./a-link//deep", includingHidden: false).entries.map(\.name) == ["file"])
            try fixture.link("work/sub/up", to: "..")
            #expect(try directory.list("sub/up", includingHidden: false).entries.count == 5)
            #expect(await errorCode { try directory.list("b.txt", includingHidden: false) } == .invalidArgument)
            #expect(await errorCode { try directory.list("b.txt/x", includingHidden: false) } == .notFound)
            #expect(await errorCode { try directory.list("no", includingHidden: false) } == .notFound)
            #expect(await errorCode { try directory.list("leaving", includingHidden: false) } == .invalidArgument)
        }
    }

    @Test func `a directory with too many entries is cut, and says so`() async throws {
        try await Self.inTree { fixture, directory in
            try fixture.makeDirectory("work/many")
            for number in 0...DirectoryListing.limit {
                close(open(fixture.path("work/many/\(number)"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
            }
            for includingHidden in [true, false] {
                let listing = try directory.list("many", includingHidden: includingHidden)
                #expect(listing.entries.count == DirectoryListing.limit)
                #expect(listing.truncated)
            }
            // What is not shown takes nobody's place.
            unlink(fixture.path("work/many/0"))
            for number in 0..<100 { try fixture.write("", to: "work/many/.\(number)") }
            let listing = try directory.list("many", includingHidden: false)
            #expect(listing.entries.count == DirectoryListing.limit)
            #expect(!listing.truncated)
            #expect(try directory.remove("many") == .directory)
        }
    }

    @Test func `removes files, links themselves, and whole trees that links lead out of`() async throws {
        try await Self.inTree { fixture, directory in
            #expect(try directory.remove("b.txt") == .file)
            #expect(try directory.remove("leaving") == .file)
            #expect(try directory.remove("a-link") == .file)
            try fixture.link("work/sub/deep/out", to: fixture.path("outside"))
            // A name that is no text.
            #expect(mkdirBytes(fixture.path("work/sub/"), [0xFF, 0xFE]))
            #expect(try directory.remove("sub") == .directory)
            #expect(try directory.list(".", includingHidden: true).entries.map(\.name) == [".hidden", "dangling"])
            #expect(await errorCode { try directory.remove("sub") } == .notFound)
            #expect(await errorCode { try directory.remove("dangling/x") } == .notFound)
        }
    }

    @Test func `names that are no text are shown with what they stand for`() async throws {
        try await Self.inTree { fixture, directory in
            #expect(mkdirBytes(fixture.path("work/sub/"), [0x64, 0xFF]))
            try await fixture.shell(#"printf 123 > "work/sub/$(printf 'f\351')""#)
            let entries = try directory.list("sub", includingHidden: false).entries
            #expect(entries.map(\.name) == ["deep", "d\u{FFFD}", "f\u{FFFD}"])
            #expect(entries.map(\.type) == [.directory, .directory, .file])
            #expect(entries.map(\.size) == [nil, nil, 3])
        }
    }

    private func mkdirBytes(_ parent: String, _ name: [UInt8]) -> Bool {
        mkdir(Array(parent.utf8CString.dropLast()) + name.map { CChar(bitPattern: $0) } + [0], 0o700) == 0
    }

    @Test func `renames files, directories and links, and replaces nothing`() async throws {
        try await Self.inTree { fixture, directory in
            try directory.rename("b.txt", to: "new/place/c.txt")
            #expect(try directory.read("new/place/c.txt").count == 5)
            try directory.rename("sub", to: "new/sub")
            #expect(try directory.read("new/sub/deep/file") == Array("x".utf8))
            try directory.rename("leaving", to: "moved")
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: fixture.path("work/moved")) == "../outside"
            )
            #expect(await errorCode { try directory.rename("new", to: ".hidden") } == .conflict)
            #expect(await errorCode { try directory.rename("new", to: "new/inside") } == .invalidArgument)
            #expect(await errorCode { try directory.rename("no", to: "yes") } == .notFound)
            #expect(await errorCode { try directory.rename(".hidden", to: "moved/file2") } == .invalidArgument)
        }
    }

    static let hostile: [String] =
        [
            "/", "/etc/passwd", "//etc/passwd", "..", "../", "../x", "../../etc/passwd", "./..", "./../x", "a/..",
            "a/../..",
            "a/../../x", "sub/..", "sub/../..", "sub/deep/../../../outside/file", "a/./../..", "...//../..", "x\0",
            "\0",
            "x\0y", "b.txt\0/..", ".git", ".git/", ".git/config", ".git/hooks/pre-commit", "./.git/config",
            ".//.git//config",
            ".GIT/config", ".Git/config", ".giT", "sub/.git", "sub/.git/config", "sub/deep/.git/x", "/.git/config",
            "leaving/file", "leaving/../outside/file", "./leaving/file", "leaving//file", "leaving/new", "self",
            "self/x",
            "ping", "pong/x", "absolute", "absolute/passwd", "git-link", "git-link/config", "sub/up2/outside/file",
            "sub/up2/../outside", "far", "far/x", "\u{301}../x/..", "a\u{301}/../..", "/\u{301}etc", "~/../x/../..",
            String(repeating: "../", count: 50) + "etc/passwd", String(repeating: "a/", count: 2_500),
            String(repeating: "x", count: 5_000), String(repeating: "d/", count: 300) + "x/..", "a/../b.txt", "..\u{0}",
            "%2e%2e/..", "..\\/..",
        ]

    @Test(arguments: hostile)
    func `no path leads out or into git's files`(path: String) async throws {
        try await Self.inTree { fixture, directory in
            for (name, target) in [
                ("self", "self"), ("ping", "pong"), ("pong", "ping"), ("absolute", "/etc"), ("git-link", ".git"),
                ("sub/up2", "../.."), ("far", String(repeating: "sub/../", count: 100) + "../outside"),
            ] {
                try fixture.link("work/\(name)", to: target)
            }
            // Links that leave may be removed and renamed themselves.
            let isLink = ["self", "ping", "absolute", "git-link", "far"].contains(path)
            #expect(await errorCode { try directory.list(path, includingHidden: true) } != nil)
            #expect(await errorCode { try directory.read(path) } != nil)
            #expect(await errorCode { try directory.write([1], to: path) } != nil)
            #expect(await errorCode { try directory.rename("b.txt", to: path) } != nil)
            guard !isLink else { return }
            #expect(await errorCode { try directory.rename(path, to: "target") } != nil)
            #expect(await errorCode { _ = try directory.remove(path) } != nil)
        }
    }
}
