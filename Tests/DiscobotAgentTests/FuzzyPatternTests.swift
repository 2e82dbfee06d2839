// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import Testing

@testable import DiscobotAgent

/// Which names some letters mean.
struct FuzzyPatternTests {
    private func best(_ query: String, _ paths: [String], limit: Int = 10) -> [String] {
        FileIndex(paths.flatMap { Array($0.utf8) + [0] }).search(FuzzyPattern(query), limit: limit).map(\.path)
    }

    @Test(arguments: [
        ("readme", "README.md"), ("srvbld", "Sources/discobot-server/Server+build.swift"), ("ö", "docs/Größe.txt"),
        ("doc groesse", nil), ("txt docs", "docs/Größe.txt"), ("SOURCES", "Sources"), ("zz", nil), ("a/b", "a/b"),
        ("md.readme", nil), (" readme  ", "README.md"),
    ])
    func `letters are found in their order, whatever their case`(query: String, path: String?) {
        let paths = ["README.md", "Sources/discobot-server/Server+build.swift", "a/b", "docs/Größe.txt"]
        #expect(best(query, paths).first == path)
    }

    @Test
    func `names, beginnings of words and letters that stand together count more`() {
        let users = best("user", ["src/ultra/service/error.go", "src/user/x.go", "src/user.go"])
        #expect(users.prefix(2) == ["src/user", "src/user.go"])
        #expect(best("fb", ["fab.txt", "foo_bar.txt"]).first == "foo_bar.txt")
        #expect(best("fs", ["offset.c", "FileSearch.swift"]).first == "FileSearch.swift")
        #expect(best("test", ["a/b/c/d/test.c", "test.c"]).first == "test.c")
        #expect(best("abc", ["a-b-c-x", "abc"]).first == "abc")
    }

    @Test
    func `directories are found once, as such`() {
        let index = FileIndex(Array("a/b/c\0a/b/d\0a/e\0f\0f\0g/h/i\0".utf8))
        let found = { (query: String) in index.search(FuzzyPattern(query), limit: 10).map { "\($0.type) \($0.path)" } }
        #expect(index.count == 9)
        #expect(Set(found("a")) == ["directory a", "directory a/b", "file a/e", "file a/b/c", "file a/b/d"])
        #expect(found("h") == ["directory g/h", "file g/h/i"])
        #expect(found("f") == ["file f"])
        // New files come in a list of their own.
        let two = FileIndex(Array("a/b\0b/c\0a/c\0".utf8), without: Array("b/c\0".utf8))
        #expect(two.search(FuzzyPattern("a"), limit: 10).map(\.path) == ["a", "a/b", "a/c"])
        #expect(two.count == 3)
    }

    @Test
    func `of very many that fit the best are told, and no more than asked for`() {
        let names = (0..<20_000).map { "dir\($0 % 100)/some-name-\($0)" } + ["name"]
        let found = best("name", names, limit: 5)
        #expect(found.count == 5)
        #expect(found.first == "name")
        #expect(best("name", names, limit: 0) == [])
        #expect(best("", names) == [] && best("   ", names) == [])
        let long = String(repeating: "x", count: 100_000)
        #expect(best(long, names + [long]) == [])
        #expect(best(long, names + [String(repeating: "x", count: 300)]).count == 1)
    }

    @Test
    func `names that are no text, or broken lists, do no harm`() {
        let index = FileIndex([0xFF, 0x2F, 0xFE, 0, 0x61, 0, 0x62])
        #expect(index.count == 3)
        #expect(index.search(FuzzyPattern("a"), limit: 10).map(\.path) == ["a"])
        #expect(FileIndex([]).search(FuzzyPattern("a"), limit: 10).isEmpty)
        #expect(FileIndex([0, 0]).count == 0)
    }
}
