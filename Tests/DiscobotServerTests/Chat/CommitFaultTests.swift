// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Commits whose last step can be neither finished nor undone for a while, and others who change the workspace.
@Suite(.timeLimit(.minutes(20)))
struct CommitFaultTests {
    /// The workspace's git cannot write this file as long as something is broken.
    private static let prepare = """
        config user.name T; git config user.email t@x; git config filter.f.required true; git config filter.f.clean cat
        git config filter.f.smudge 'test ! -e ../broken && cat'; echo 'README.md filter=f' > .git/info/attributes
        """
    private static let look = "rev-parse HEAD; git status --porcelain; cat README.md; ls; git ls-files --stage"

    /// Runs `body` with a session whose commit hangs half way between two states of the workspace.
    private func withHalfLanded(_ body: (ChatFixture, String, String) async throws -> Void) async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(
                "echo theirs > README.md; echo a > A; git add .; git -c user.name=A -c user.email=a@x commit -qm theirs",
                in: session
            )
            try await fixture.git(Self.prepare)
            let before = try await fixture.git(Self.look)
            try fixture.directory.write("", to: "broken")
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            try await eventually { try fixture.log.contains("cannot be finished or undone now") }
            try await body(fixture, session, before)
        }
    }

    private func mend(_ fixture: ChatFixture) throws {
        try FileManager.default.removeItem(atPath: fixture.directory.file("broken"))
    }

    @Test
    func `a step that can be neither finished nor undone is tried again`() async throws {
        try await withHalfLanded { fixture, session, before in
            let path = "/api/projects/local/workspaces/\(fixture.workspace)/git/stage"
            let refused = try await fixture.client.post(path, #"{"paths": []}"#)
            #expect(refused.status == 503)
            #expect(
                refused.json["error"].string?.hasPrefix("commits of a session are on their way into the workspace")
                    == true
            )
            try mend(fixture)
            let done = try await fixture.committed(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            #expect(try await done["appliedCommit"].string == fixture.git("rev-parse HEAD"))
            #expect(
                try await fixture.git("log --format=%s; git status --porcelain; cat README.md A")
                    == "theirs\nFirst\ntheirs\na"
            )
        }
    }

    @Test
    func `who changes the workspace finds nothing half done, after a crash either`() async throws {
        try await withHalfLanded { fixture, session, before in
            fixture.server.kill()
            try mend(fixture)
            // Jobs rest, so that it is the request that puts things right.
            try await fixture.startServer(["DISPATCHER_ENABLED": "false"])
            let path = "/api/projects/local/workspaces/\(fixture.workspace)/git"
            #expect(try await fixture.client.post("\(path)/stage", #"{"paths": []}"#).status == 200)
            #expect(try await fixture.git(Self.look) == before)
            fixture.server.kill()
            try await fixture.startServer()
            #expect(try await fixture.committed(session)["commitStatus"].string == "completed")
            #expect(try await fixture.git("status --porcelain; cat README.md") == "theirs")
        }
    }

    @Test
    func `a session that is removed leaves nothing half done`() async throws {
        try await withHalfLanded { fixture, session, before in
            #expect(try await fixture.client.delete("/api/projects/local/sessions/\(session)").status == 200)
            try mend(fixture)
            try await fixture.client.removeSession(session)
            #expect(try await fixture.git(Self.look) == before)
            #expect(try await fixture.git("for-each-ref refs/discobot") == "")
            #expect(!fixture.directory.exists("data/workspaces/local/commits"))
        }
    }

    @Test
    func `what a killed server has left of a commit goes with its session`() async throws {
        try await ChatFixture.with(prepare: HeldGit.install) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(SessionCommitTests.commitOne, in: session)
            try HeldGit.hold("index-pack", fixture)
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            try await HeldGit.waitUntilAsked(fixture)
            #expect(fixture.directory.exists("data/workspaces/local/commits"))
            fixture.server.kill()
            try await fixture.startServer(["DISPATCHER_ENABLED": "false"])
            #expect(try await fixture.client.delete("/api/projects/local/sessions/\(session)").status == 200)
            fixture.server.kill()
            try HeldGit.release(fixture)
            try await fixture.startServer()
            try await fixture.client.removeSession(session)
            #expect(!fixture.directory.exists("data/workspaces/local/commits"))
        }
    }

    @Test
    func `what an earlier request has left open does not pass for the end of the next`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(SessionCommitTests.commitOne, in: session)
            _ = try await fixture.landUnseen(session)
            _ = try await fixture.talk(
                "echo b > B; git add B; git -c user.name=A -c user.email=a@x commit -qm B",
                in: session
            )
            #expect(try await fixture.commit(session)["commitStatus"].string == "completed")
            #expect(try await fixture.git("log --format=%s; git status --porcelain") == "B\nAdd one\nFirst")
        }
    }

    @Test
    func `what landed unseen is the end of the next request that has nothing else`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(SessionCommitTests.commitOne + "; echo edit > edit", in: session)
            let head = try await fixture.landUnseen(session)
            let done = try await fixture.commit(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            #expect(done["appliedCommit"].string == head)
            #expect(try await fixture.git("log --format=%s; git status --porcelain") == "Add one\nFirst")
            // Nobody was asked anything.
            #expect(try await fixture.messages(of: session).count == 2)
            #expect(try await fixture.talk("git status --porcelain", in: session).text == "?? edit\n")
        }
    }

    @Test
    func `a runtime that dies on the way starts again, and its agent is asked nothing`() async throws {
        try await ChatFixture.with(prepare: HeldGit.install) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(SessionCommitTests.commitOne + "; echo edit > edit", in: session)
            try HeldGit.hold("init", fixture)
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            try await HeldGit.waitUntilAsked(fixture)
            try fixture.processes(of: session).runtime.kill()
            try HeldGit.release(fixture)
            let done = try await fixture.committed(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            #expect(try await fixture.messages(of: session).count == 2)
            #expect(try await fixture.git("log --format=%s") == "Add one\nFirst")
            #expect(try await fixture.talk("git status --porcelain", in: session).text == "?? edit\n")
        }
    }

    @Test
    func `others change the workspace while commits are fitted to it`() async throws {
        try await ChatFixture.with(prepare: HeldGit.install) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(SessionCommitTests.commitOne, in: session)
            try await fixture.git("config user.name T; git config user.email t@x; git commit -q --allow-empty -m own")
            try HeldGit.hold("rebase", fixture)
            #expect(try await fixture.client.post("/api/projects/local/sessions/\(session)/commit", "").status == 200)
            try await HeldGit.waitUntilAsked(fixture)
            let path = "/api/projects/local/workspaces/\(fixture.workspace)/git"
            #expect(try await fixture.client.post("\(path)/file", #"{"path": "x", "content": "x"}"#).status == 200)
            #expect(try await fixture.client.post("\(path)/stage", #"{"paths": []}"#).status == 200)
            #expect(try await fixture.client.post("\(path)/commit", #"{"message": "meanwhile"}"#).status == 201)
            try HeldGit.release(fixture)
            #expect(try await fixture.committed(session)["commitStatus"].string == "completed")
            #expect(
                try await fixture.git("log --format=%s; git status --porcelain") == "Add one\nmeanwhile\nown\nFirst"
            )
        }
    }

    @Test
    func `few objects that are a billion files do not land`() async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let bomb = #"""
                tree=$(echo x | git hash-object -w --stdin); kind='100644 blob'
                for depth in 1 2 3 4 5 6 7 8 9; do
                    tree=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf "$kind $tree\t$i\n"; done | git mktree); kind='040000 tree'
                done
                git update-ref HEAD $(git -c user.name=A -c user.email=a@x commit-tree $tree -p HEAD -m bomb)
                """#
            _ = try await fixture.talk(bomb, in: session)
            let before = try await fixture.git(Self.look)
            let failed = try await fixture.commit(session)
            #expect(failed["commitStatus"].string == "failed")
            #expect(failed["commitError"].string == "the session's commits change too many files", "\(failed)")
            #expect(try await fixture.git(Self.look) == before)
        }
    }
}

extension ChatFixture {
    /// Lands a session's commits by a server that is killed before it has seen the end; returns the workspace's commit.
    fileprivate func landUnseen(_ session: String) async throws -> String {
        let base = try await git("rev-parse HEAD")
        #expect(try await commit(session)["commitStatus"].string == "completed")
        let head = try await git("rev-parse HEAD")
        server.kill()
        try await forgetEnd(of: session, from: base, to: head)
        try await startServer()
        return head
    }

    /// As if nobody had seen the end of a commit, and it had been given up. The server must not run.
    private func forgetEnd(of session: String, from base: String, to head: String) async throws {
        try await withStore { store in
            try await store.write { transaction in
                var row = try #require(try transaction.session(ID(rawValue: session)))
                row.landing = CommitLanding(from: base, to: head, session: try #require(row.landedCommit))
                (row.landedCommit, row.appliedCommit, row.commitStatus) = (nil, nil, .failed)
                try transaction.update(row)
            }
        }
    }
}
