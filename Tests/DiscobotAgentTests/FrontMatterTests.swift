// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

/// What the files of `.discobot/` say about themselves.
@Suite(.timeLimit(.minutes(10)))
struct FrontMatterTests {
    private func matter(_ text: String, isWhole: Bool = true) -> FrontMatter {
        FrontMatter(Array(text.utf8), isWhole: isWhole)
    }

    @Test(
        arguments: [
            "#!/bin/sh\n#---\n# name: Web\n# http: 3000\n#---\nexec x\n",
            "#!/bin/sh\n\n#---\n#name: Web\nhttp: 3000\n#---\nexec x\n",
            "#!/usr/bin/env node\n//---\n// name: \"Web\"\n// http: '3000'\n//---\nx()\n",
            "#!/bin/sh\r\n#---\r\n# name: Web\r\n# http: 3000\r\n#---\r\nexec x\r\n",
            "#!/bin/sh\n# ---\n#  name:Web\n# http:3000\n# ---\nexec x\n",
            "\u{FEFF}#!/bin/sh\n---\nname: Web\nhttp: 3000\n---\nexec x\n",
        ]
    )
    func `every form is understood`(text: String) {
        let found = matter(text)
        #expect(found.hasInterpreter)
        #expect(found.fields == ["name": "Web", "http": "3000"])
        #expect(!found.hasEmptyBody)
    }

    @Test
    func `only the same delimiter closes, and what is not closed is the program`() {
        #expect(matter("#---\n# a: b\n---\n# c: d\n#---\nx").fields == ["a": "b", "c": "d"])
        #expect(matter("#!/bin/sh\n#---\n# a: b\n").fields.isEmpty)
        #expect(!matter("#!/bin/sh\n#---\n# a: b\n").hasEmptyBody)
        #expect(matter("---\nhttp: 1\n---\n \n\t\r\n").hasEmptyBody)
        #expect(!matter("---\nhttp: 1\n---\n", isWhole: false).hasEmptyBody)
        #expect(matter("").hasEmptyBody)
    }

    @Test
    func `hostile text is bounded and shown without control characters`() {
        let long = String(repeating: "x", count: 100_000)
        #expect(matter("---\nname: \(long)\n---\n")["name"]?.count == 1024)
        #expect(matter("---\n\(long): y\n---\n").fields.isEmpty)
        #expect(matter("---\nname: a\u{1B}[31m\u{7F}\u{0}b\n---\n")["name"] == "a[31mb")
        #expect(matter("---\n" + String(repeating: "a: b\n", count: 1000) + "---\n").fields.isEmpty)
        let junk = (0..<16384).map { _ in UInt8.random(in: 0...255) }
        _ = FrontMatter(junk, isWhole: false)
        #expect(
            FrontMatter(Array("---\nname: ".utf8) + [0xFF, 0x0A] + Array("---".utf8), isWhole: true)["name"]
                == "\u{FFFD}"
        )
    }

    @Test(
        arguments: [
            ("web.sh", "web"), ("My App.v2.sh", "myapp-v2"), ("api.server.ts", "api-server"), ("--x--.py", "x"),
            ("a_b-C", "a_b-c"), ("Grüße.rb", "gre"), ("x.sh.php", "x-sh"),
        ]
    )
    func `the id comes from the file's name`(name: String, id: String) {
        #expect(ConventionFiles.id(of: name) == id)
    }

    @Test
    func `a name without letters is no id`() {
        #expect(ConventionFiles.id(of: "....sh") == nil)
        #expect(ConventionFiles.id(of: "日本.sh") == nil)
    }

    @Test
    func `services are found, with what keeps them from starting`() async throws {
        try await TemporaryDirectory.with { directory in
            func add(_ name: String, _ text: String, mode: Int = 0o755) throws {
                try directory.write(text, to: ".discobot/services/\(name)")
                try FileManager.default.setAttributes(
                    [.posixPermissions: mode],
                    ofItemAtPath: directory.file(".discobot/services/\(name)")
                )
            }
            try FileManager.default.createDirectory(
                atPath: directory.file(".discobot/services/nested.sh"),
                withIntermediateDirectories: true
            )
            try add("b.sh", "#!/bin/sh\n#---\n# name: Second\n# http: 3000\n# path: admin\n#---\nx")
            try add("a.sh", "#!/bin/sh\nx")
            try add("a.py", "#!/bin/sh\nx")
            try add("ext", "---\nname: External\nhttps: 8443\n---\n", mode: 0o644)
            try add("first.sh", "#!/bin/sh\n#---\n# name: Zed\n# order: 1\n#---\nx")
            try add("noexec.sh", "#!/bin/sh\n#---\n# name: NoExec\n#---\nx", mode: 0o644)
            try add("noshebang.sh", "#---\n# name: NoShebang\n#---\nx")
            try add("port.sh", "#!/bin/sh\n#---\n# name: Port\n# http: 70000\n#---\nx")
            try add("README.md", "# Notes", mode: 0o644)
            try add("huge.sh", "#!/bin/sh\n" + String(repeating: "x", count: 1 << 20))
            try add(".hidden.sh", "#!/bin/sh\nx")
            try await Shell.run(
                "cd $0/.discobot/services; mkfifo fifo.sh; ln -s /etc/passwd out.sh; ln -s loop.sh loop.sh; ln -s b.sh c.sh",
                directory.path
            )
            let found = ServiceDefinition.all(in: directory.path)
            #expect(
                found.map(\.id)
                    == ["first", "ext", "noexec", "noshebang", "port", "b", "c", "a", "huge"].reordered(found)
            )
            let byID = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
            #expect(byID["b"]?.endpoint == .http(3000))
            #expect(byID["b"]?.urlPath == "/admin")
            #expect(byID["a"]?.path == ".discobot/services/a.py")
            #expect(byID["ext"]?.isPassive == true)
            #expect(byID["ext"]?.problem == nil)
            #expect(byID["noexec"]?.problem?.contains("chmod +x") == true)
            #expect(byID["noshebang"]?.problem?.contains("#!/bin/sh") == true)
            #expect(byID["port"]?.problem == "http must be a port from 1 to 65535")
            #expect(found.first?.id == "first")
        }
    }

    @Test
    func `patterns match paths`() throws {
        let matches = [
            ("*.swift", "a/b.swift"), ("**/*.ts", "a.ts"), ("**/*.ts", "x/y/a.ts"), ("src/**", "src/a/b"),
            ("src/**/b.c", "src/b.c"), ("src/**/b.c", "src/x/y/b.c"), ("a/*.{js,ts}", "a/x.ts"), ("[a-c]?.py", "b1.py"),
            ("./a/b", "a/b"), ("[!x].c", "y.c"), ("**", "any/thing"), ("a\\*b", "a*b"),
        ]
        for (pattern, path) in matches { #expect(try #require(Glob(pattern)).matches(path), "\(pattern) \(path)") }
        let others = [
            ("*.swift", "a.swiftx"), ("a/*.js", "a/b/c.js"), ("src/**/b.c", "src/xb.c"), ("**/a.ts", "ba.ts"),
            ("[!x].c", "x.c"), ("a\\*b", "axb"), ("?.c", "ab.c"),
        ]
        for (pattern, path) in others { #expect(try !#require(Glob(pattern)).matches(path), "\(pattern) \(path)") }
        #expect(Glob("") == nil)
        #expect(Glob(String(repeating: "{a,b}", count: 20)) == nil)
        let slow = try #require(Glob("/" + String(repeating: "*a", count: 200) + "b"))
        #expect(!slow.matches("/" + String(repeating: "a", count: 4000)))
    }
}

extension [String] {
    /// The same ids in the order of what was found, when these are all.
    fileprivate func reordered(_ found: [ServiceDefinition]) -> [String] {
        Set(self) == Set(found.map(\.id)) ? found.map(\.id) : self
    }
}
