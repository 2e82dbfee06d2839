// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import DiscobotAgent

struct CachePathsTests {
    private static func paths(_ additional: [String]) throws -> CachePaths {
        CachePaths(file: try JSONEncoder().encode(["additionalPaths": additional]), home: "/.data/home")
    }

    @Test
    func `without a file the well-known ones are shared`() {
        let paths = CachePaths(file: nil, home: "/.data/home")
        #expect(paths.paths == CachePaths.wellKnown.sorted())
        #expect(paths.refusals.isEmpty)
        #expect(CachePaths(file: Data("{}".utf8), home: "/.data/home") == paths)
    }

    @Test(arguments: [
        ("/.data/home/.gem", ".gem"), ("~/.gem/", ".gem"), ("/home/discobot/.gem", ".gem"),
        ("~//a/./b c/", "a/b c"), ("~/..a/b..", "..a/b.."),
    ])
    func `paths below the home are added, however that is named`(path: String, relative: String) throws {
        let paths = try Self.paths([path])
        #expect(paths.paths == (CachePaths.wellKnown + [relative]).sorted())
        #expect(paths.refusals.isEmpty)
    }

    @Test(arguments: [
        ("/etc", "is not below the home directory"), ("relative", "is not below the home directory"),
        ("", "is not below the home directory"), ("/.data/homework", "is not below the home directory"),
        ("~other/x", "is not below the home directory"), ("/home/other/x", "is not below the home directory"),
        ("~", "is the home directory itself"), ("/.data/home/./", "is the home directory itself"),
        ("~/../workspace", "has .."), ("~/a/../../b", "has .."), ("/home/discobot/a/..", "has .."),
        ("~/.ssh", "is where logins are kept"), ("~/.claude/projects", "is where logins are kept"),
        ("~/.config/gh", "is where logins are kept"), ("~/.cargo", "is where logins are kept"),
        ("~/.local/share", "is where logins are kept"),
        ("~/a\nb", "is too long, or has control characters"), ("~/a\0b", "is too long, or has control characters"),
        ("~/" + String(repeating: "a", count: 1100), "is too long, or has control characters"),
    ])
    func `other paths are refused, and the rest holds`(path: String, reason: String) throws {
        let paths = try Self.paths([path, "~/.gem"])
        #expect(paths.paths == (CachePaths.wellKnown + [".gem"]).sorted())
        #expect(paths.refusals == [CachePaths.Refusal(path: String(path.prefix(200)), reason: reason)])
    }

    @Test(arguments: ["", "[]", #"{"additionalPaths":"~/.gem"}"#, #"{"additionalPaths":[1]}"#, "{"])
    func `a file that is no such JSON adds nothing`(text: String) {
        let paths = CachePaths(file: Data(text.utf8), home: "/.data/home")
        #expect(paths.paths == CachePaths.wellKnown.sorted())
        #expect(paths.refusals.count == 1)
    }

    @Test
    func `a directory stands for those in it`() throws {
        let paths = try Self.paths(["~/.cache/deep/er", "~/.ivy2", "~/.npm", "~/.npmrc.d", "~/go/pkg"]).paths
        #expect(paths.contains(".ivy2") && paths.contains("go/pkg") && paths.contains(".npmrc.d"))
        #expect(!paths.contains(".ivy2/cache") && !paths.contains("go/pkg/mod"))
        #expect(!paths.contains(".cache/deep/er"))
        #expect(paths.count { $0 == ".npm" } == 1)
    }

    @Test
    func `a list without end has one`() throws {
        let paths = try Self.paths((1...1000).map { "~/a\($0)" })
        #expect(paths.paths.count == CachePaths.wellKnown.count + 100)
        #expect(paths.refusals.map(\.reason) == ["there are more than 100 paths"])
    }
}
