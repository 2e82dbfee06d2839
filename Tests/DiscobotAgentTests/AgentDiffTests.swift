// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What a runtime says that its working copy has changed.
@Suite(.timeLimit(.minutes(10)))
struct AgentDiffTests {
    /// Runs a script in the working copy of a new runtime, and `body` then.
    private func with(
        _ script: String,
        command: [String] = [],
        _ body: (AgentRuntimeProcess, String) async throws -> Void
    ) async throws {
        try await AgentRuntimeProcess.with(command: command) { (runtime, directory) async throws in
            let workspace = directory.file("data/workspace")
            let identity = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b"
            try await Shell.run("\(identity); cd \"$0\"; \(script)", workspace)
            try await body(runtime, workspace)
        }
    }

    private func files(_ diff: DiffResponse) -> [String] {
        diff.files.map { file in "\(file.status.rawValue) \(file.oldPath.map { "\($0) -> " } ?? "")\(file.path)" }
    }

    @Test
    func `commits, edits and new files are told together`() async throws {
        let script = """
            seq 100 > long; git add long; git commit -qm long; git mv long renamed; git commit -qm moved
            echo two >> file; echo new > new; mkdir -p 'a b'; echo x > 'a b/c'; printf 'ignored\\n' > .gitignore
            echo no > ignored; printf '\\000\\001' > binary; ln -s file link; echo staged > staged; git add staged
            """
        try await with(script) { runtime, workspace in
            let before = try await Shell.run("cd \"$0\"; git status --porcelain; sha1sum .git/index", workspace)
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(
                files(diff) == [
                    "added .gitignore", "added a b/c", "added binary", "modified file", "added link", "added new",
                    "added renamed", "added staged",
                ]
            )
            #expect(diff.stats == .init(filesChanged: 8, additions: 106, deletions: 0))
            #expect(diff.truncated == nil)
            let binary = try #require(diff.files.first { $0.path == "binary" })
            #expect(binary.binary == true && binary.patch == nil && binary.truncated == nil)
            #expect(diff.files.first { $0.path == "new" }?.patch?.hasSuffix("@@ -0,0 +1 @@\n+new\n") == true)
            let names = try await runtime.client.diff(since: nil, includingPatches: false)
            #expect(names.stats == diff.stats)
            #expect(names.files == diff.files.map { FileDiff(path: $0.path, status: $0.status, oldPath: $0.oldPath) })
            let after = try await Shell.run("cd \"$0\"; git status --porcelain; sha1sum .git/index", workspace)
            #expect(after == before)
        }
    }

    @Test
    func `a repository without a commit inside hides no other new file`() async throws {
        try await with("git init -q nested; echo x > nested/file; echo new > new") { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(files(diff).contains("added new"))
        }
    }

    @Test
    func `a file that cannot be read is told without its content, and hides no other`() async throws {
        // Root reads everything, unless it gives that up.
        let rights = "-dac_override,-dac_read_search"
        let command = geteuid() == 0 ? ["setpriv", "--bounding-set=\(rights)", "--inh-caps=\(rights)"] : []
        let script = """
            seq 100 > long; echo x > kept; git add .; git commit -qm more; git mv long renamed
            echo new > new; echo no > secret; chmod 000 secret kept
            """
        try await with(script, command: command) { runtime, workspace in
            let base = try await Shell.run("git -C \"$0\" rev-parse HEAD", workspace)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let diff = try await runtime.client.diff(since: base, includingPatches: true)
            #expect(files(diff) == ["modified kept", "added new", "renamed long -> renamed", "added secret"])
            #expect(diff.files.map { $0.patch == nil } == [true, false, false, true])
            #expect(diff.files.map { $0.truncated == true } == [true, false, false, true])
            let names = try await runtime.client.diff(since: base, includingPatches: false)
            #expect(files(names) == files(diff))
            for (path, status) in [("secret", FileDiff.Status.added), ("kept", .modified)] {
                let file = try await runtime.client.diff(of: path, since: base, includingPatches: true)
                #expect(file.path == path && file.status == status && file.truncated == true)
            }
            let new = try await runtime.client.diff(of: "new", since: base, includingPatches: true)
            #expect(new.patch?.hasSuffix("+new\n") == true)
        }
    }

    @Test
    func `a change of the second in which the index was written is seen later`() async throws {
        // Git trusts neither times nor sizes then, as long as it knows when the index was written.
        let script = """
            git config core.trustctime false; echo old > quick; touch -d @1700000000 quick; git add quick
            git commit -qm more; echo new > quick; touch -d @1700000000 quick .git/index
            """
        try await with(script) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(diff.files.contains { $0.path == "quick" && $0.patch?.hasSuffix("+new\n") == true })
        }
    }

    @Test
    func `a file that vanishes while git looks at it hides no other`() async throws {
        // Git has seen both files when it reads the first one by this filter.
        let script = """
            mkdir -p .git/info; echo 'a filter=f' > .git/info/attributes; git config filter.f.clean 'rm -f b; cat'
            echo a > a; echo b > b
            """
        try await with(script) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(files(diff) == ["added a"])
            #expect(diff.files.first?.patch?.hasSuffix("+a\n") == true)
        }
    }

    @Test
    func `a file is told alone, also when it has another name now, or has not changed`() async throws {
        let script = "seq 100 > long; git add long; git commit -qm long; echo x > kept; git add kept; git commit -qm x"
        try await with(script) { runtime, workspace in
            let base = try await Shell.run("cd \"$0\"; git rev-parse HEAD; git mv long renamed; rm file", workspace)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let diff = try await runtime.client.diff(since: base, includingPatches: true)
            #expect(files(diff) == ["deleted file", "renamed long -> renamed"])
            let renamed = try await runtime.client.diff(of: "renamed", since: base, includingPatches: true)
            #expect(renamed.status == .renamed && renamed.oldPath == "long" && renamed.additions == 0)
            let same = try await runtime.client.diff(of: "kept", since: base, includingPatches: true)
            #expect(same.status == .unchanged && same.patch == "")
            let missing = try await runtime.client.diff(of: "nothing", since: base, includingPatches: false)
            #expect(missing.status == .unchanged)
            await #expect(throws: AgentError.self) {
                try await runtime.client.diff(of: "../file", since: base, includingPatches: true)
            }
            await #expect(throws: AgentError.self) {
                try await runtime.client.diff(since: "--output=/tmp/x", includingPatches: true)
            }
        }
    }

    @Test
    func `any name of a file is told`() async throws {
        let script = #"""
            printf x > "$(printf 'new\nline')"; printf x > "$(printf 'tab\there')"; printf x > '"quoted"'
            printf x > "$(printf 'latin\351')"; printf x > 'ö'; printf x > ' space '; printf x > -dash
            printf x > ':(top)magic'; printf x > '*'; mkdir -p 'a\b'; printf x > 'a\b/c'
            """#
        try await with(script) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            let expected = [
                " space ", "\"quoted\"", "*", "-dash", ":(top)magic", "a\\b/c", "latin\u{FFFD}", "new\nline",
                "tab\there", "ö",
            ]
            #expect(Set(diff.files.map(\.path)) == Set(expected))
            for path in expected where !path.contains("\u{FFFD}") {
                let file = try await runtime.client.diff(of: path, since: nil, includingPatches: true)
                #expect(file.status == .added && file.additions == 1, "\(path)")
            }
        }
    }

    @Test
    func `a diff that is too large is cut, and says so`() async throws {
        let script = #"""
            yes 'a line of some length, to make a patch of it' | head -c 2000000 > large
            for i in $(seq 20); do seq 100000 200000 > medium$i; done; echo small > z; : > empty
            """#
        try await with(script) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(diff.stats.filesChanged == 23)
            #expect(diff.files.first { $0.path == "large" }?.truncated == true)
            #expect(diff.files.first { $0.path == "large" }?.patch == nil)
            #expect(diff.files.first { $0.path == "z" }?.patch?.hasSuffix("+small\n") == true)
            let told = diff.files.filter { $0.patch != nil }
            #expect(diff.files.filter { $0.path.hasPrefix("medium") }.contains { $0.truncated == true })
            #expect(told.reduce(0) { $0 + ($1.patch?.utf8.count ?? 0) } <= 8 << 20)
            #expect(diff.files.allSatisfy { ($0.patch == nil) == ($0.truncated == true) })
            #expect(diff.files.first { $0.path == "empty" }?.patch?.isEmpty == false)
        }
        // Much more than is read at all.
        let many = "mkdir d; for i in $(seq 60); do seq 100000 200000 > d/f$i; done"
        try await with(many) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(diff.stats == .init(filesChanged: 60, additions: 60 * 100_001, deletions: 0))
            #expect(diff.files.count == 60)
            #expect(diff.files.last?.truncated == true)
        }
    }

    @Test
    func `a working copy without commits, or without anything in common, is compared all the same`() async throws {
        try await with("echo x > new; git checkout -q --orphan other; git rm -qf file") { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(files(diff) == ["deleted file", "added new"])
        }
        try await TemporaryDirectory.with { directory in
            try await Shell.run("git init -q -b main \"$0/source\"", directory.path)
            let runtime = try await AgentRuntimeProcess(in: directory)
            defer { runtime.kill() }
            #expect(try await runtime.client.diff(since: nil, includingPatches: true).files == [])
            try directory.write("x\n", to: "data/workspace/new")
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(files(diff) == ["added new"])
        }
    }

    @Test
    func `changes of type and mode, and conflicts, are told once`() async throws {
        let script = """
            echo a > a; git add a; git commit -qm a; chmod +x a; rm file; ln -s a file
            git checkout -q -b other 2>/dev/null; echo 1 > c; git add c; git commit -qm c1
            git checkout -q main; echo 2 > c; git add c; git commit -qm c2; git merge other >/dev/null 2>&1 || true
            """
        try await with(script) { runtime, _ in
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(Set(files(diff)) == ["added a", "added c", "modified file"])
            #expect(diff.files.first { $0.path == "a" }?.patch?.contains("new file mode 100755") == true)
        }
    }
}
