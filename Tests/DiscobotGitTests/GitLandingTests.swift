// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

/// The last step of commits into a workspace, and what is made of one that was killed.
@Suite(.timeLimit(.minutes(10)))
struct GitLandingTests {
    /// A repository at the older of two commits that differ in many ways.
    private func with(
        _ body: (Fixture, GitRepository, GitLanding, GitLanding.Step) async throws -> Void
    ) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(
                "repo",
                files: ["changed": "1\n", "removed": "1\n", "own": "1\n", "d/deep": "1\n"]
            )
            let from = try await repository.git("rev-parse", "HEAD")
            try await fixture.shell(
                """
                cd repo; echo 22222 > changed; git rm -q removed; mkdir new; echo 22222 > new/file; echo 2 > added
                chmod +x d/deep; git add .; git commit -qm two
                """
            )
            let step = GitLanding.Step(from: from, to: try await repository.git("rev-parse", "HEAD"))
            _ = try await repository.git("reset", "--quiet", "--hard", from)
            try await body(fixture, repository, GitLanding(repository), step)
        }
    }

    /// Everything that a user can see of a repository.
    private func look(_ fixture: Fixture) async throws -> String {
        try await fixture.shell(
            """
            cd repo; git rev-parse HEAD; git symbolic-ref HEAD; git ls-files --stage; git status --porcelain
            find . -path ./.git -prune -o -type f -print | sort | xargs -d '\\n' sha1sum; ls .git/*.lock 2>/dev/null || true
            """
        )
    }

    @Test func `local changes that are not in the way stay`() async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell("cd repo; echo mine >> own; echo untracked > u; echo staged > s; git add s")
            #expect(try await landing.obstacles(to: step) == [])
            try await landing.advance(step)
            #expect(try await repository.headCommit() == step.to)
            #expect(try await repository.git("symbolic-ref", "HEAD") == "refs/heads/main")
            let status = try await fixture.shell("git -C repo status --porcelain")
            #expect(status == "M own\nA  s\n?? u" || status == " M own\nA  s\n?? u")
            #expect(try await landing.settle(step))
        }
    }

    @Test func `local changes in the way are told file by file, and nothing changes`() async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell(
                "cd repo; echo mine >> changed; git add changed; rm removed; mkdir new; : > new/file; echo added > .gitignore; echo i > added"
            )
            let before = try await look(fixture)
            let obstacles = try await landing.obstacles(to: step)
            #expect(obstacles.map(\.path) == ["added", "changed", "new/file", "removed"])
            #expect(obstacles.first?.reason.contains("does not track") == true)
            #expect(obstacles.last?.reason.contains("not committed") == true)
            #expect(await errorCode { try await landing.advance(step) } == .conflict)
            #expect(try await look(fixture) == before)
        }
    }

    @Test func `a git that is at work keeps its lock, and nothing changes`() async throws {
        try await with { fixture, repository, landing, step in
            try fixture.write("", to: "repo/.git/index.lock")
            let before = try await look(fixture)
            #expect(await errorCode { try await landing.advance(step) } == .conflict)
            #expect(try await look(fixture) == before)
            #expect(FileManager.default.fileExists(atPath: fixture.path("repo/.git/index.lock")))
        }
    }

    @Test func `nothing is built upon somebody's half finished merge`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try await repository.makeConflict(in: fixture)
            let head = try await repository.git("rev-parse", "HEAD")
            let step = GitLanding.Step(from: head, to: head)
            let refusal = await error { _ = try await GitLanding(repository).obstacles(to: step) }
            #expect(refusal?.message == "the workspace is in the middle of a merge: finish or abort it first")
        }
    }

    @Test func `a branch that has moved is left alone`() async throws {
        try await with { fixture, repository, landing, step in
            _ = try await repository.git("commit", "--quiet", "--allow-empty", "-m", "theirs")
            let before = try await look(fixture)
            #expect(await errorCode { try await landing.advance(step) } == .conflict)
            #expect(try await landing.settle(step) == false)
            #expect(try await look(fixture) == before)
        }
    }

    @Test func `a bare repository's branch is moved, unless it has moved itself`() async throws {
        try await with { fixture, repository, _, step in
            try await fixture.shell(
                "git clone -q --bare repo bare; git -C repo push -q ../bare \(step.to):refs/heads/x"
            )
            let bare = try await GitRepository.open(fixture.path("bare"), environment: fixture.environment)
            let landing = GitLanding(bare)
            #expect(try await landing.settle(step) == false)
            try await landing.advance(step)
            #expect(try await bare.headCommit() == step.to)
            #expect(try await landing.settle(step))
            let refusal = await errorCode { try await landing.advance(step) }
            #expect(refusal != nil)
        }
    }

    /// What a killed git can leave: some files written, one half written or gone, locks held.
    @Test(arguments: [
        "true",
        "echo 22222 > changed",
        "printf 222 > changed",
        ": > changed",
        "rm changed",
        "rm removed",
        "mkdir new; echo 22222 > new/file; echo 2 > added",
        "mkdir new; printf 22 > new/file; chmod +x d/deep",
        "echo 22222 > changed; rm removed; mkdir new; echo 22222 > new/file; echo 2 > added; chmod +x d/deep",
        "cp .git/index .git/index.lock; echo 22222 > changed",
        ": > .git/index.lock; : > .git/HEAD.lock; : > .git/refs/heads/main.lock",
    ])
    func `what a killed git has left is undone, and local changes stay`(script: String) async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell("cd repo; echo mine >> own; echo untracked > u; echo staged > s; git add s")
            let before = try await look(fixture)
            try await fixture.shell("cd repo; \(script)")
            #expect(try await landing.settle(step) == false)
            #expect(try await look(fixture) == before)
            try await landing.advance(step)
            #expect(try await landing.settle(step))
            #expect(try await repository.headCommit() == step.to)
        }
    }

    /// Names that are no text, and directories and files that take each other's places.
    private static let awkward = #"""
        printf 1 > "$(printf 'old\351')"; printf 1 > place; mkdir dir; printf 1 > dir/in; git add .; git commit -qm one
        """#
    private static let awkwardChange = #"""
        printf 22222 > "$(printf 'old\351')"; printf 22222 > "$(printf 'new\351')"; rm place; mkdir place
        printf 22222 > place/in; rm -r dir; printf 22222 > dir; ln -s dir link; git add .; git commit -qm two
        """#

    private func withAwkwardStep(
        _ body: (Fixture, GitRepository, GitLanding, GitLanding.Step) async throws -> Void
    ) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try await fixture.shell("cd repo; \(Self.awkward)")
            let from = try await repository.git("rev-parse", "HEAD")
            try await fixture.shell("cd repo; \(Self.awkwardChange)")
            let step = GitLanding.Step(from: from, to: try await repository.git("rev-parse", "HEAD"))
            _ = try await repository.git("reset", "--quiet", "--hard", from)
            try await body(fixture, repository, GitLanding(repository), step)
        }
    }

    @Test(arguments: [
        "true",
        #"printf 22222 > "$(printf 'old\351')"; printf 22222 > "$(printf 'new\351')""#,
        #"printf 22 > "$(printf 'old\351')"; rm place"#,
        #"printf 22 > "$(printf 'new\351')"; ln -s dir link"#,
        "rm place; mkdir place",
        "rm place; mkdir place; printf 222 > place/in; rm -r dir",
        "rm -r dir; printf 22222 > dir",
    ])
    func `names that are no text, and directories in the places of files, are undone too`(script: String) async throws {
        try await withAwkwardStep { fixture, repository, landing, step in
            let before = try await look(fixture)
            #expect(try await landing.obstacles(to: step) == [])
            try await fixture.shell("cd repo; \(script)")
            #expect(try await landing.settle(step) == false)
            #expect(try await look(fixture) == before)
            #expect(try await landing.obstacles(to: step) == [])
            try await landing.advance(step)
            #expect(try await repository.status().isClean)
        }
    }

    @Test func `what git ignores is in the way as well, below and above the place of a new file`() async throws {
        try await withAwkwardStep { fixture, repository, landing, step in
            try await fixture.shell("cd repo; echo '*.o' > .git/info/exclude; mkdir dir/sub; echo mine > dir/sub/x.o")
            #expect(try await landing.obstacles(to: step).map(\.path) == ["dir/sub/x.o"])
        }
        try await with { fixture, repository, landing, step in
            try await fixture.shell("cd repo; echo new > .git/info/exclude; echo mine > new")
            #expect(try await landing.obstacles(to: step).map(\.path) == ["new"])
        }
    }

    @Test func `what somebody writes after the kill stays`() async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell(
                "cd repo; echo 22222 > changed; echo mine > removed; mkdir new; echo mine > new/file; echo mine > d/deep"
            )
            #expect(try await landing.settle(step) == false)
            #expect(try await fixture.shell("cd repo; cat changed removed new/file d/deep") == "1\nmine\nmine\nmine")
        }
    }

    @Test func `a failure in the middle is undone, and as long as that fails it is tried again`() async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell(
                """
                cd repo; git config filter.f.required true; git config filter.f.clean cat
                git config filter.f.smudge 'test ! -e ../broken && cat'; echo 'd/deep filter=f' > .git/info/attributes
                """
            )
            let before = try await look(fixture)
            try fixture.write("", to: "broken")
            await #expect(throws: GitLanding.Unsettled.self) { try await landing.advance(step) }
            #expect(try await repository.headCommit() == step.from)
            // These go first: the next try does not take them for somebody's.
            #expect(!fixture.exists("repo/added"))
            await #expect(throws: GitLanding.Unsettled.self) { _ = try await landing.settle(step) }
            unlink(fixture.path("broken"))
            #expect(try await landing.settle(step) == false)
            #expect(try await look(fixture) == before)
            #expect(try await landing.obstacles(to: step) == [])
            try await landing.advance(step)
            #expect(try await repository.status().isClean)
        }
    }

    @Test func `a step that lacks the branch only is finished`() async throws {
        try await with { fixture, repository, landing, step in
            try await fixture.shell("cd repo; echo mine >> own; git read-tree -m -u \(step.from) \(step.to)")
            #expect(try await landing.settle(step))
            #expect(try await repository.headCommit() == step.to)
            #expect(try await repository.status().unstaged.map(\.path) == ["own"])
            #expect(try await repository.status().staged.isEmpty)
        }
    }

    @Test func `a git that still works is waited for`() async throws {
        try await with { fixture, repository, landing, step in
            // As a server leaves it that is killed meanwhile: the filter holds git up.
            try await fixture.shell(
                """
                cd repo; git config filter.slow.smudge 'sleep 0.5; cat'; echo 'changed filter=slow' > .git/info/attributes
                (DISCOBOT_LANDING=\(repository.directory) exec git merge -q --ff-only \(step.to) </dev/null >/dev/null 2>&1 &)
                """
            )
            while try await fixture.shell("pgrep -f 'merge -q --ff-only \(step.to)' || true") == "",
                try await repository.headCommit() != step.to
            {}
            #expect(try await landing.settle(step))
            #expect(try await repository.status().isClean)
        }
    }

    @Test func `a git that is killed at any moment leaves one of two states`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository("repo", files: ["own": "1\n"])
            let from = try await repository.git("rev-parse", "HEAD")
            try await fixture.shell(
                """
                cd repo; awk 'BEGIN { for (i = 1; i <= 2000; i++) { f = "f" i; for (j = 0; j < 50; j++) print j > f; close(f) } }'
                echo 2 > own; git add .; git commit -qm two
                """
            )
            let step = GitLanding.Step(from: from, to: try await repository.git("rev-parse", "HEAD"))
            _ = try await repository.git("reset", "--quiet", "--hard", from)
            try fixture.write("untracked", to: "repo/u")
            let before = try await look(fixture)
            for round in 0..<12 {
                try await fixture.shell(
                    """
                    cd repo; git merge -q --ff-only \(step.to) & sleep 0.0\(round); kill -9 $! 2>/dev/null || true
                    wait $! 2>/dev/null || true
                    """
                )
                if try await GitLanding(repository).settle(step) {
                    #expect(try await repository.headCommit() == step.to)
                    #expect(try await repository.status().untracked == ["u"])
                    #expect(try await repository.status().staged.isEmpty)
                    #expect(try await repository.status().unstaged.isEmpty)
                    _ = try await repository.git("reset", "--quiet", "--hard", from)
                }
                #expect(try await look(fixture) == before)
            }
            // One that for certain dies between the first file and the last.
            try await fixture.shell(
                """
                cd repo; git config filter.deadly.smudge 'kill -9 $PPID; cat'
                echo 'f500 filter=deadly' > .git/info/attributes; git merge -q --ff-only \(step.to) || true
                """
            )
            #expect(fixture.exists("repo/f1") && fixture.exists("repo/.git/index.lock") && !fixture.exists("repo/f999"))
            #expect(try await GitLanding(repository).settle(step) == false)
            #expect(try await look(fixture) == before)
        }
    }
}
