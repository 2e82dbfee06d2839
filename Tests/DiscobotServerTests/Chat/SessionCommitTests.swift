// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Commits of sessions on their way to the workspace, in real sandboxes.
@Suite(.timeLimit(.minutes(20)))
struct SessionCommitTests {
    static let commitOne = "echo one > one; git add one; git -c user.name=Ada -c user.email=ada@x commit -qm 'Add one'"

    @Test(arguments: SessionProvider.allCases)
    func `commits that the agent has made land as they are`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commitOne + "; echo edit > edit", in: session)
            let base = try await fixture.git("rev-parse HEAD")
            try await fixture.git("config user.name Grace; git config user.email grace@x; echo local > local")
            let done = try await fixture.commit(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            #expect(done["baseCommit"].string == base)
            #expect(done["commitError"].string == nil)
            #expect(try await done["appliedCommit"].string == fixture.git("rev-parse HEAD"))
            #expect(try await fixture.git("log --format='%an %s'") == "Ada Add one\nTest First")
            #expect(try await fixture.git("status --porcelain; cat one") == "?? local\none")
            let workspace = try await fixture.client.get("/api/projects/local/workspaces/\(fixture.workspace)").json
            #expect(workspace["commit"].string == done["appliedCommit"].string)
            #expect(try await fixture.messages(of: session).count == 2)
            // What is left is what has not landed.
            let diff = try await fixture.client.get("/api/projects/local/sessions/\(session)/diff").json
            #expect(diff["files"].list.map { $0["path"].string } == ["edit"])
            #expect(!fixture.directory.exists("data/workspaces/local/commits"))
            // What was only slow is tried again, which the log tells too.
            let errors = try fixture.log.split(separator: "\n").filter { $0.contains(" error ") }
            #expect(errors.isEmpty)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `an agent that has not committed is asked to`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            try await fixture.git("config user.name Grace; git config user.email grace@x")
            let session = fixture.newSession()
            _ = try await fixture.talk("echo new > new; echo changed > README.md", in: session)
            let done = try await fixture.commit(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            let title = "echo new > new; echo changed > README.md"
            #expect(try await fixture.git("log -1 --format='%an %ae %s'") == "Grace grace@x \(title)")
            #expect(try await fixture.git("status --porcelain; cat new README.md") == "new\nchanged")
            let messages = try await fixture.messages(of: session)
            #expect(messages.count == 4)
            #expect(messages[2]["id"].string == "\(session)-commit")
            let base = done["baseCommit"].string ?? ""
            #expect(messages[2]["parts"].list.first?["text"].string == "/discobot-commit \(base)")
            // The next ones: nothing, something.
            let nothing = try await fixture.commit(session)
            #expect(nothing["commitStatus"].string == "failed")
            #expect(nothing["commitError"].string == "No commits found in agent sandbox")
            #expect(nothing["appliedCommit"].string == nil)
            _ = try await fixture.talk("echo more > more", in: session)
            #expect(try await fixture.commit(session)["commitStatus"].string == "completed")
            #expect(try await fixture.git("rev-list --count HEAD") == "3")
            #expect(try await fixture.messages(of: session).count == 10)
        }
    }

    @Test
    func `a workspace that has moved on gets the commits on top, again and again`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            for round in 1...3 {
                _ = try await fixture.talk(
                    "echo \(round) >> f; git add f; git -c user.name=Ada -c user.email=a@x commit -qm 'Round \(round)'",
                    in: session
                )
                try await fixture.git("-c user.name=T -c user.email=t@x commit -q --allow-empty -m 'Own \(round)'")
                let done = try await fixture.commit(session)
                #expect(done["commitStatus"].string == "completed", "\(done)")
                #expect(try await done["baseCommit"].string == fixture.git("rev-parse HEAD~1"))
                let diff = try await fixture.client.get("/api/projects/local/sessions/\(session)/diff").json
                #expect(diff["files"].list.isEmpty)
            }
            let expected = (1...3).reversed().flatMap { ["Round \($0)", "Own \($0)"] } + ["First"]
            #expect(try await fixture.git("log --format=%s") == expected.joined(separator: "\n"))
            #expect(try await fixture.git("status --porcelain; cat f") == "1\n2\n3")
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `what does not fit is told file by file, and the workspace stays as it is`(
        provider: SessionProvider
    ) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(
                "echo theirs > README.md; git -c user.name=A -c user.email=a@x commit -qam 'Say it'",
                in: session
            )
            try await fixture.git("config user.name T; git config user.email t@x; echo mine > README.md")
            let look = "rev-parse HEAD; git status --porcelain; cat README.md; git ls-files --stage; git stash list"
            let edited = try await fixture.git(look)
            let local = try await fixture.commit(session)
            #expect(local["commitStatus"].string == "failed")
            #expect(local["commitError"].string?.contains("- README.md: has changes in the workspace") == true)
            #expect(try await fixture.git(look) == edited)
            try await fixture.git("commit -qam mine")
            let committed = try await fixture.git(look)
            let conflict = try await fixture.commit(session)
            #expect(conflict["commitStatus"].string == "failed")
            #expect(conflict["commitError"].string?.contains("\"Say it\"") == true)
            #expect(conflict["commitError"].string?.hasSuffix("- README.md: changed on both sides") == true)
            #expect(try await fixture.git(look) == committed)
            // It can be talked to, and asked again.
            _ = try await fixture.talk("git reset -q --hard HEAD~1; \(Self.commitOne)", in: session)
            #expect(try await fixture.commit(session)["commitStatus"].string == "completed")
        }
    }

    @Test
    func `sessions of a workspace that commit at once land one after the other`() async throws {
        try await ChatFixture.with { fixture in
            let sessions = (0..<4).map { _ in fixture.newSession() }
            for session in sessions {
                _ = try await fixture.talk(
                    "for i in 1 2 3; do echo $i > \(session)-$i; git add .; "
                        + "git -c user.name=A -c user.email=a@x commit -qm \"\(session) $i\"; done",
                    in: session
                )
            }
            let done = try await withThrowingTaskGroup(of: JSON.self) { group in
                for session in sessions { group.addTask { try await fixture.commit(session) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(done.map { $0["commitStatus"].string } == Array(repeating: "completed", count: 4))
            let subjects = try await fixture.git("log --format=%s").split(separator: "\n").map(String.init)
            #expect(subjects.count == 13)
            for session in sessions {
                let own = subjects.filter { $0.hasPrefix("\(session) ") }
                #expect(own == ["\(session) 3", "\(session) 2", "\(session) 1"])
            }
            #expect(try await fixture.git("status --porcelain") == "")
            let heads = Set(done.compactMap { $0["appliedCommit"].string })
            #expect(heads.count == 4)
        }
    }

    @Test
    func `while commits are under way others wait`() async throws {
        try await ChatFixture.with(prepare: HeldGit.install) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commitOne, in: session)
            let path = "/api/projects/local/sessions/\(session)"
            #expect(try await fixture.client.post("/api/projects/local/sessions/unknown/commit", "").status == 404)
            try HeldGit.hold("index-pack", fixture)
            #expect(try await fixture.client.post("\(path)/commit", "").json["success"].bool == true)
            let again = try await fixture.client.post("\(path)/commit", "")
            #expect(again.status == 409)
            #expect(again.json["error"].string?.hasPrefix("commit already in progress (status: ") == true)
            #expect(try await fixture.client.post("\(path)/rebase", "").status == 409)
            #expect(try await fixture.client.post(ChatFixture.chat, fixture.message("true", in: session)).status == 409)
            try await HeldGit.waitUntilAsked(fixture)
            try HeldGit.release(fixture)
            #expect(try await fixture.committed(session)["commitStatus"].string == "completed")
            #expect(try await fixture.talk("echo next", in: session).text == "next\n")
            #expect(try await fixture.client.get(path).json["commitStatus"].string == nil)
            #expect(try await fixture.client.get(path).json["appliedCommit"].string != nil)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a session is put on top of the workspace's newest commit`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commitOne + "; echo edit > edit", in: session)
            try await fixture.git(
                "config user.name T; git config user.email t@x; echo up > up; git add up; git commit -qm up"
            )
            let path = "/api/projects/local/sessions/\(session)"
            #expect(try await fixture.client.post("\(path)/rebase", "").status == 200)
            let done = try await fixture.committed(session)
            #expect(done["commitStatus"].string == nil, "\(done)")
            #expect(try await done["baseCommit"].string == fixture.git("rev-parse HEAD"))
            let log = try await fixture.talk("git log --format=%s; git status --porcelain; cat up edit", in: session)
            #expect(log.text == "Add one\nup\nFirst\n?? edit\nup\nedit\n")
            let diff = try await fixture.client.get("\(path)/diff").json
            #expect(diff["files"].list.map { $0["path"].string } == ["edit", "one"])
            try await fixture.git("rm -q up; echo mine > one; git add .; git commit -qm conflict")
            #expect(try await fixture.client.post("\(path)/rebase", "").status == 200)
            let failed = try await fixture.committed(session)
            #expect(failed["commitStatus"].string == "failed")
            #expect(failed["commitError"].string?.hasSuffix("- one: added on both sides") == true, "\(failed)")
            #expect(try await fixture.git("for-each-ref refs/discobot/landing") == "")
            #expect(try await fixture.talk("git log -1 --format=%s; cat up", in: session).text == "Add one\nup\n")
        }
    }
}

extension ChatFixture {
    /// Runs git in the workspace; what follows a semicolon is a script.
    @discardableResult
    func git(_ script: String) async throws -> String {
        try await Shell.run("cd \"$0\"; git \(script)", repository)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Has a session's commits taken to the workspace, and waits for that.
    func commit(_ session: String) async throws -> JSON {
        let answer = try await client.post("/api/projects/local/sessions/\(session)/commit", "")
        #expect(answer.status == 200, "\(answer.text)")
        return try await committed(session)
    }

    /// Waits for the end of what is under way, over ends of the server.
    func committed(_ session: String) async throws -> JSON {
        while true {
            let answer = try? await client.get("/api/projects/local/sessions/\(session)").json
            if let answer, !["pending", "committing"].contains(answer["commitStatus"].string) { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// A git that waits at a word among its arguments, until it is released.
enum HeldGit {
    static func install(_ directory: TemporaryDirectory) async throws -> [String: String] {
        try await Shell.run(
            #"""
            mkdir "$0/bin"
            cat >"$0/bin/git" <<END
            #!/bin/sh
            if [ -e "$0/hold" ]; then
                case " \$* " in
                    *" \$(cat "$0/hold") "*)
                        echo \$\$ >>"$0/asked"
                        while [ -e "$0/hold" ]; do sleep 0.02; done ;;
                esac
            fi
            exec $(command -v git) "\$@"
            END
            chmod 755 "$0/bin/git"
            """#,
            directory.path
        )
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return ["PATH": "\(directory.path)/bin:\(path)", "JOB_MAX_ATTEMPTS": "100"]
    }

    static func hold(_ word: String, _ fixture: ChatFixture) throws {
        try fixture.directory.write(word, to: "hold")
    }

    static func waitUntilAsked(_ fixture: ChatFixture) async throws {
        try await eventually { fixture.directory.exists("asked") }
    }

    static func release(_ fixture: ChatFixture) throws {
        try FileManager.default.removeItem(atPath: fixture.directory.file("hold"))
    }
}
