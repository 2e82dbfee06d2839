// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// The commits of a runtime's working copy, and their way onto others.
@Suite(.timeLimit(.minutes(10)))
struct AgentCommitsTests {
    /// Runs scripts in the working copy of a runtime.
    private static func shell(in directory: TemporaryDirectory) -> (String) async throws -> String {
        { script in
            try await Shell.run(
                """
                export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
                cd "$0"; \(script)
                """,
                directory.file("data/workspace")
            ).trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    /// Runs `body` with a runtime and a shell for its working copy.
    private func with(
        _ script: String = "true",
        _ body: (AgentRuntimeProcess, TemporaryDirectory, (String) async throws -> String) async throws -> Void
    ) async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let shell = Self.shell(in: directory)
            _ = try await shell(script)
            try await body(runtime, directory, shell)
        }
    }

    private func get(_ runtime: AgentRuntimeProcess, _ path: String) async throws -> (status: Int, json: JSON) {
        let output = try await Shell.run(
            #"curl -s --unix-socket "$0" -H "Authorization: Bearer $2" -w '\n%{http_code}' "http://agent$1""#,
            runtime.socket,
            path,
            AgentRuntimeProcess.secret.value
        )
        let lines = output.split(separator: "\n")
        return (Int(lines.last ?? "") ?? 0, JSON(Data((lines.first ?? "").utf8)))
    }

    @Test
    func `commits are handed out as mails`() async throws {
        try await with { runtime, directory, shell in
            let base = try await shell("git rev-parse HEAD")
            let none = try await get(runtime, "/commits?parent=\(base)")
            #expect(none.status == 404 && none.json["error"].string == "no_commits")
            let head = try await shell(
                "echo 2 > file; git commit -qam two; echo 3 > new; git add .; git commit -qm three; git rev-parse HEAD"
            )
            let commits = try await get(runtime, "/commits?parent=\(base)")
            #expect(commits.status == 200 && commits.json["commitCount"].int == 2)
            try directory.write(commits.json["patches"].string ?? "", to: "mails")
            let applied = try await Shell.run(
                "cd \"$0/source\"; git -c user.name=b -c user.email=b@c am -q ../mails; git log --format='%an %cn %s'",
                directory.path
            )
            #expect(applied == "a b three\na b two\na a one\n")
            for (parent, status, error) in [
                ("", 400, "invalid_parent"), ("nonsense", 400, "invalid_parent"), ("--all", 400, "invalid_parent"),
                (String(repeating: "1", count: 40), 400, "invalid_parent"),
            ] {
                let refused = try await get(runtime, "/commits?parent=\(parent)")
                #expect(refused.status == status && refused.json["error"].string == error)
                #expect(refused.json["message"].string?.isEmpty == false)
            }
            _ = try await shell("git checkout -q -b other \(base); git commit -q --allow-empty -m other")
            let mismatch = try await get(runtime, "/commits?parent=\(head)")
            #expect(mismatch.status == 409 && mismatch.json["error"].string == "parent_mismatch")
            _ = try await shell("rm -rf .git")
            #expect(try await get(runtime, "/commits?parent=\(base)").status >= 400)
        }
    }

    @Test
    func `commits are handed out as a pack that has only what is new`() async throws {
        try await with { runtime, directory, shell in
            let client = runtime.client
            let base = try await shell("git rev-parse HEAD")
            let file = directory.file("pack")
            #expect(try await client.writeCommits(beyond: [base], to: file, limit: 1 << 20) == nil)
            let head = try await shell("seq 100000 > large; git add .; git commit -qm two; git rev-parse HEAD")
            let unknown = String(repeating: "1", count: 40)
            #expect(try await client.writeCommits(beyond: [base, unknown], to: file, limit: 1 << 20) == head)
            let taken = try await Shell.run(
                "cd \"$0/source\"; git index-pack --stdin --fix-thin --strict < ../pack >/dev/null; git log --format=%s $1",
                directory.path,
                head
            )
            #expect(taken == "two\none\n")
            let tooLarge = await #expect(throws: AgentError.self) {
                try await client.writeCommits(beyond: [base], to: file, limit: 1_000)
            }
            #expect(tooLarge?.code == .tooLarge)
            _ = try await shell("git checkout -q --orphan none; git rm -qrf .")
            #expect(try await client.writeCommits(beyond: [base], to: file, limit: 1 << 20) == nil)
        }
    }

    private static let ahead = "cd ../../source; echo up > up; git add up; git commit -qm up; git rev-parse HEAD"

    @Test
    func `commits and changes move onto another commit`() async throws {
        let script = """
            seq 20 > long; git add long; git commit -qm mine; sed -i 's/^7$/seven/' long; echo untracked > u
            echo staged > staged; git add staged; echo 2 > file
            """
        try await with(script) { runtime, _, shell in
            let target = try await shell(Self.ahead)
            let answer = try await runtime.client.rebase(RebaseRequest(onto: target, landed: []))
            #expect(answer.conflicts == [])
            #expect(try await shell("git rev-parse HEAD") == answer.head)
            #expect(try await shell("git log --format='%an %s'") == "a mine\na up\na one")
            #expect(try await shell("git status --porcelain") == "M file\n M long\n?? staged\n?? u")
            #expect(
                try await shell(
                    "cat up file staged u; grep seven long; git symbolic-ref HEAD; git for-each-ref refs/discobot"
                ) == "up\n2\nstaged\nuntracked\nseven\nrefs/heads/main"
            )
            let again = try await runtime.client.rebase(RebaseRequest(onto: target, landed: []))
            #expect(again.head == answer.head)
        }
    }

    @Test
    func `what does not fit is told file by file, and nothing changes`() async throws {
        let look = "git rev-parse HEAD; git status --porcelain; cat *; sha1sum .git/index; ls .git"
        let conflict =
            "cd ../../source; echo theirs > file; echo theirs > u; git add .; git commit -qm x; git rev-parse HEAD"
        for (script, path, subject) in [
            ("echo mine > file; git commit -qam mine", "file", "mine"), ("echo mine > file", "file", nil),
            ("echo mine > u", "u", nil), ("mkdir -p .git/info; echo u > .git/info/exclude; echo mine > u", "u", nil),
        ] {
            try await with(script) { runtime, _, shell in
                let target = try await shell(conflict)
                let before = try await shell(look)
                let answer = try await runtime.client.rebase(RebaseRequest(onto: target, landed: []))
                #expect(answer.conflicts.map(\.path) == [path])
                #expect(answer.subject == subject)
                #expect(try await shell(look) == before)
            }
        }
        try await with { runtime, _, _ in
            await #expect(throws: AgentError.self) {
                try await runtime.client.rebase(
                    RebaseRequest(onto: String(repeating: "1", count: 40), landed: [])
                )
            }
        }
    }

    @Test
    func `commits that have landed are not moved again`() async throws {
        try await with("echo 2 >> file; git commit -qam two") { runtime, _, shell in
            let landed = try await shell("git rev-parse HEAD")
            let target = try await shell(
                "\(Self.ahead) >/dev/null; printf 'one\\n2\\n3\\n' > file; git commit -qam squashed; git rev-parse HEAD"
            )
            _ = try await shell("echo new > new; git add .; git commit -qm new")
            let answer = try await runtime.client.rebase(RebaseRequest(onto: target, landed: [landed]))
            #expect(answer.conflicts == [])
            #expect(try await shell("git log --format=%s; cat file") == "new\nsquashed\nup\none\none\n2\n3")
        }
    }

    /// Where git is at work when the runtime is killed, and what it has done of that.
    private static let kills = [
        ("add --update", ""),
        ("commit-tree", ""),
        ("fetch", ""),
        ("read-tree [0-9a-f]", ""),
        ("update-index", ""),
        ("read-tree -m -u [0-9a-f]", ""),
        ("read-tree -m -u [0-9a-f]", "cp ../../source/up up; : > .git/index.lock"),
        ("read-tree -m -u [0-9a-f]", "printf u > up; rm file"),
        ("update-ref -m", ": > .git/refs/heads/main.lock"),
        ("update-ref -d", ""),
    ]

    @Test(arguments: kills)
    func `a runtime that is killed in a rebase loses nothing, and goes on`(place: String, script: String) async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            let environment = try await HeldAgentGit.install(directory)
            var runtime = try await AgentRuntimeProcess(in: directory, environment: environment)
            defer { runtime.kill() }
            let shell = Self.shell(in: directory)
            _ = try await shell(
                "seq 20 > long; git add long; git commit -qm mine; echo u > u; echo s > staged; git add staged; echo 2 > long"
            )
            let target = try await shell(
                "cd ../../source; echo up > up; echo three > file; git add .; git commit -qm up; git rev-parse HEAD"
            )
            try directory.write(place, to: "hold")
            let client = runtime.client
            async let answer = client.rebase(RebaseRequest(onto: target, landed: []))
            try await eventually { directory.exists("asked") }
            _ = try await shell(script.isEmpty ? "true" : script)
            runtime.kill()
            _ = try? await answer
            try FileManager.default.removeItem(atPath: directory.file("hold"))
            try directory.write("", to: "data/agent/index.of-a-diff")
            runtime = try await AgentRuntimeProcess(in: directory, environment: environment)
            // One of two states.
            let look =
                "git log --format=%s; git status --porcelain; cat long u staged file; ls up .git/*.lock 2>/dev/null || true"
            let before = "mine\none\n M long\nA  staged\n?? u\n2\nu\ns\none"
            let after = "mine\nup\none\n M long\n?? staged\n?? u\n2\nu\ns\nthree\nup"
            let state = try await shell(look)
            #expect([before, after].contains(state), "\(state)")
            let again = try await runtime.client.rebase(RebaseRequest(onto: target, landed: []))
            #expect(again.conflicts == [])
            #expect(try await shell("\(look); git for-each-ref refs/discobot") == after)
            #expect(try directory.contents("data/agent").filter { $0.contains("rebase") || $0.contains("index") } == [])
        }
    }

    @Test
    func `nothing moves while the agent works`() async throws {
        try await with { runtime, _, shell in
            let target = try await shell(Self.ahead)
            try await runtime.start("echo begun; exec sleep 100", completion: "c")
            try await runtime.wait(for: 4, of: "c")
            let refusal = await #expect(throws: AgentError.self) {
                try await runtime.client.rebase(RebaseRequest(onto: target, landed: []))
            }
            #expect(refusal?.code == .refused(status: 409))
            _ = try await runtime.client.cancel()
        }
    }
}

/// A git that waits for ever where its arguments have something, as long as that is wanted.
private enum HeldAgentGit {
    static func install(_ directory: TemporaryDirectory) async throws -> [String: String] {
        try await Shell.run(
            #"""
            mkdir "$0/bin"
            cat >"$0/bin/git" <<END
            #!/bin/sh
            if [ -e "$0/hold" ]; then
                case " \$* " in
                    *" "\$(cat "$0/hold")*)
                        : >"$0/asked"
                        exec sleep 1000 ;;
                esac
            fi
            exec $(command -v git) "\$@"
            END
            chmod 755 "$0/bin/git"
            """#,
            directory.path
        )
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return ["PATH": "\(directory.path)/bin:\(path)"]
    }
}
