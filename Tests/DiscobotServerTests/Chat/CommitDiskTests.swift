// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// Commits that there is no room for.
@Suite(.timeLimit(.minutes(10)))
struct CommitDiskTests {
    private static let commitLarge =
        "head -c 3000000 /dev/urandom > big; git add big; git -c user.name=A -c user.email=a@x commit -qm big"

    @Test
    func `a full disk of the workspace fails the commit and changes nothing, and room makes it land`() async throws {
        try await ChatFixture.with(.init(command: SmallDisk.command(at: "full", size: "9m"))) { fixture in
            let path = fixture.directory.file("full")
            // An empty directory becomes a repository.
            let workspace = try await fixture.client.makeChatWorkspace(path)
            let session = fixture.newSession()
            let message = TestClient.message(
                Self.commitLarge + "; echo edit > edit",
                session: session,
                workspace: workspace,
                agent: fixture.agent
            )
            #expect(try await fixture.client.chat(message).isDone)
            let server = fixture.server.identifier
            try await SmallDisk.fill("\(path)/fill", of: server)
            let look = "cd \"$0\"; git rev-parse HEAD; git ls-files --stage; git status --porcelain; ls -A; ls .git"
            let before = try await SmallDisk.run(look, path, of: server)
            let failed = try await fixture.commit(session)
            #expect(failed["commitStatus"].string == "failed", "\(failed)")
            #expect(failed["commitError"].string?.contains("No space left on device") == true, "\(failed)")
            #expect(try await SmallDisk.run(look, path, of: server) == before)
            #expect(try await fixture.messages(of: session).count == 2)
            #expect(!fixture.directory.exists("data/workspaces/local/commits"))
            try await SmallDisk.run("rm \"$0/fill\"", path, of: server)
            let done = try await fixture.commit(session)
            #expect(done["commitStatus"].string == "completed", "\(done)")
            let landed = """
                cd "$0"; git log -1 --format=%s; git status --porcelain; stat -c %s big; git fsck --no-dangling
                """
            #expect(try await SmallDisk.run(landed, path, of: server) == "big\n3000000\n")
            #expect(try await fixture.messages(of: session).count == 2)
        }
    }

    @Test
    func `a full disk of the server fails the commit, and the agent is asked nothing`() async throws {
        let command = SmallDisk.command(at: "data/workspaces", size: "2m")
        try await ChatFixture.with(.init(command: command)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk(Self.commitLarge + "; echo edit > edit", in: session)
            let failed = try await fixture.commit(session)
            #expect(failed["commitStatus"].string == "failed", "\(failed)")
            #expect(failed["commitError"].string == "there is no room for the session's commits on the server")
            #expect(try await fixture.messages(of: session).count == 2)
            #expect(try await fixture.git("log --format=%s; git status --porcelain") == "First")
            #expect(try await fixture.talk("git status --porcelain", in: session).text == "?? edit\n")
        }
    }
}
