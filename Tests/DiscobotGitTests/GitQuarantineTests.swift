// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Testing

@testable import DiscobotGit

/// Commits from elsewhere: checked, and moved onto others.
@Suite(.timeLimit(.minutes(10)))
struct GitQuarantineTests {
    /// A workspace with some files, and a session that has cloned it.
    private func with(
        _ script: String,
        workspace: String = "",
        _ body: (Fixture, GitRepository, GitQuarantine, String) async throws -> Void
    ) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(
                "workspace",
                files: ["a.txt": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "b.txt": "b\n", "run": "#!/bin/sh\n"]
            )
            let base = try await repository.git("rev-parse", "HEAD")
            try await fixture.shell("git clone -q --shared workspace session; cd session; \(script)")
            try await fixture.shell("cd workspace; \(workspace)")
            let quarantine = try await GitQuarantine.make(
                at: fixture.path("quarantine"),
                for: repository.command,
                committer: GitIdentity(name: "Grace", email: "grace@example.com")
            )
            try await fixture.shell(
                "cd session; printf 'HEAD\\n^%s\\n' \(base) | git pack-objects -q --revs --thin --stdout >$1",
                quarantine.packFile
            )
            try await body(fixture, repository, quarantine, base)
        }
    }

    private func replay(
        _ quarantine: GitQuarantine,
        _ fixture: Fixture,
        _ repository: GitRepository,
        _ base: String
    ) async throws -> GitReplay {
        try await quarantine.takePack()
        let head = try await fixture.shell("git -C session rev-parse HEAD")
        let target = try #require(try await repository.headCommit())
        let range = try #require(try await quarantine.commits(to: head, beyond: [target, base]))
        return try await quarantine.replay(range, onto: target)
    }

    private static let everything = #"""
        printf 'crlf\r\nlines\r\n' > crlf; git add crlf; git commit -qm 'CRLF'
        printf '\000\001\377' > binary; git add binary; git commit -qm 'Binary'
        git mv b.txt moved.txt; git commit -qm 'Rename'
        chmod +x run; git commit -qam 'Mode'
        git commit -q --allow-empty -m 'Empty'
        printf x > "$(printf 'latin\351')"; git add .; git commit -qm 'Name'
        ln -s a.txt link; git add .; git commit -qm 'Link'
        printf 'latin\351 text\n' > latin; git add .; git commit -q --author='Zoë <zoe@example.com>' \
            --date='2001-02-03T04:05:06+07:00' -m '[odd] subject' -m 'diff --git a/x b/x' -m '---' -m 'From: nobody'
        git rm -q a.txt; git commit -qm 'Removal'
        """#

    @Test func `commits on top of the workspace's stay what they are`() async throws {
        try await with(Self.everything) { fixture, repository, quarantine, base in
            let head = try await fixture.shell("git -C session rev-parse HEAD")
            #expect(try await replay(quarantine, fixture, repository, base) == .moved(head))
        }
    }

    @Test func `all kinds of changes, authors and messages are kept on a workspace that has moved on`() async throws {
        try await with(Self.everything, workspace: "echo n > n; git add n; git commit -qm more") {
            fixture,
            repository,
            quarantine,
            base in
            let replay = try await replay(quarantine, fixture, repository, base)
            guard case .moved(let commit) = replay else {
                Issue.record("\(replay)")
                return
            }
            let landing = GitLanding(repository)
            try await landing.adopt([commit], from: quarantine)
            let format = "log --format='%an|%ae|%ad|%B' --date=raw"
            let moved = try await fixture.shell("git -C workspace \(format) HEAD..\(commit)")
            #expect(try await moved == fixture.shell("git -C session \(format) \(base)..HEAD"))
            let changes = "diff-tree -r -M --root --no-commit-id"
            let compare = "git -C $1 rev-list --reverse $2 | git -C $1 \(changes) --stdin"
            let after = try await fixture.shell(compare, "workspace", "HEAD..\(commit)")
            #expect(try await after == fixture.shell(compare, "session", "\(base)..HEAD"))
            #expect(try await fixture.shell("git -C workspace log -1 --format=%cn \(commit)") == "Grace")
            #expect(try await repository.git("rev-list", "--count", "HEAD..\(commit)") == "9")
            #expect(try await repository.status().isClean)
            #expect(try FileManager.default.contentsOfDirectory(atPath: quarantine.directory) == [".git"])
        }
    }

    @Test func `commits that the workspace has in another form are left out`() async throws {
        let script = "echo 1 >> b.txt; git commit -qam one; echo 2 >> b.txt; git commit -qam two"
        let workspace =
            "echo n > n; git add n; git commit -qm n; git -C ../session format-patch -1 --stdout HEAD~1 | git am -q"
        try await with(script, workspace: workspace) { fixture, repository, quarantine, base in
            guard case .moved(let commit) = try await replay(quarantine, fixture, repository, base) else {
                Issue.record("conflicts")
                return
            }
            try await GitLanding(repository).adopt([commit], from: quarantine)
            #expect(try await repository.git("log", "--format=%s", "HEAD..\(commit)") == "two")
        }
    }

    @Test func `conflicts are told file by file`() async throws {
        let script = """
            sed -i s/5/five/ a.txt; git rm -q b.txt; echo s > new; chmod +x run; echo s >> run; git add .
            git commit -qm 'Change much'
            """
        let workspace = """
            sed -i s/5/V/ a.txt; echo more >> b.txt; echo w > new; git rm -q run; git add .; git commit -qm other
            """
        try await with(script, workspace: workspace) { fixture, repository, quarantine, base in
            let replay = try await replay(quarantine, fixture, repository, base)
            #expect(
                replay
                    == .conflicts(
                        subject: "Change much",
                        [
                            GitConflict(path: "a.txt", reason: "changed on both sides"),
                            GitConflict(path: "b.txt", reason: "changed in the workspace, removed in the session"),
                            GitConflict(path: "new", reason: "added on both sides"),
                            GitConflict(path: "run", reason: "removed in the workspace, changed in the session"),
                        ]
                    )
            )
            #expect(try await repository.status().isClean)
        }
    }

    @Test func `merges land where they are, and are refused with their name elsewhere`() async throws {
        let script = """
            git checkout -q -b side; echo s > s; git add s; git commit -qm side; git checkout -q main
            echo m > m; git add m; git commit -qm mine; git merge -q --no-edit -m 'The merge' side
            """
        try await with(script) { fixture, repository, quarantine, base in
            let head = try await fixture.shell("git -C session rev-parse HEAD")
            #expect(try await replay(quarantine, fixture, repository, base) == .moved(head))
        }
        try await with(script, workspace: "git commit -q --allow-empty -m more") {
            fixture,
            repository,
            quarantine,
            base in
            let refusal = await error { try await replay(quarantine, fixture, repository, base) }
            #expect(refusal?.code == .conflict)
            #expect(refusal?.message.contains("\"The merge\"") == true)
        }
    }

    @Test(arguments: [
        "blob=$(git hash-object -w --stdin </dev/null); tree=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree); "
            + "tree=$(printf '040000 tree %s\\t.git\\n' $tree | git mktree)",
        "blob=$(git hash-object -w --stdin </dev/null); tree=$(printf '100644 blob %s\\t..\\n' $blob | git mktree)",
        "blob=$(printf ../../etc | git hash-object -w --stdin); "
            + "tree=$(printf '120000 blob %s\\t.gitmodules\\n' $blob | git mktree)",
    ])
    func `objects that would write into git's own files are refused`(script: String) async throws {
        try await with("\(script); git reset -q --soft $(git commit-tree $tree -p HEAD -m evil)") {
            (fixture, repository, quarantine, base) async throws in
            let refusal = await errorCode { try await replay(quarantine, fixture, repository, base) }
            #expect(refusal != nil)
            #expect(try await repository.git("for-each-ref", "refs/discobot") == "")
        }
    }

    @Test func `a pack that is broken, or not whole, is refused`() async throws {
        try await with("echo x > x; git add x; git commit -qm x") { fixture, repository, quarantine, base in
            let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: quarantine.packFile)))
            for bytes in [
                Array(whole.dropLast(30)), Array("no pack".utf8), whole.dropLast(20) + whole.suffix(20).reversed(),
            ] {
                try Data(bytes).write(to: URL(fileURLWithPath: quarantine.packFile))
                let refusal = await errorCode { try await quarantine.takePack() }
                #expect(refusal != nil)
            }
            // A commit without its tree.
            try await fixture.shell(
                "cd session; git rev-parse HEAD | git pack-objects -q --stdout >$1",
                quarantine.packFile
            )
            let refusal = await errorCode { try await quarantine.takePack() }
            #expect(refusal != nil)
        }
    }

    @Test func `a file beyond the limit is refused`() async throws {
        let script = "head -c 110000000 /dev/zero > huge; git add huge; git commit -qm huge"
        try await with(script) { fixture, repository, quarantine, base in
            #expect(await errorCode { try await replay(quarantine, fixture, repository, base) } == .tooLarge)
        }
    }

    /// A tree of ten trees that are the same, of ten that are the same, and so on.
    private static let bomb = #"""
        tree=$(echo x | git hash-object -w --stdin); kind='100644 blob'
        for depth in 1 2 3 4 5 6 7 8 9; do
            tree=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf "$kind $tree\t$i\n"; done | git mktree); kind='040000 tree'
        done
        git reset -q --soft $(git commit-tree $tree -p HEAD -m bomb)
        """#

    @Test(arguments: [
        bomb, bomb + "; git reset -q --soft $(git commit-tree HEAD~1^{tree} -p HEAD -m harmless)",
        bomb + "; side=$(git commit-tree HEAD~1^{tree} -p HEAD~1 -m side); "
            + "git reset -q --soft $(git commit-tree $tree -p HEAD~1 -p $side -m merge)",
    ])
    func `few objects that are a billion files are refused`(script: String) async throws {
        try await with(script) { fixture, repository, quarantine, base in
            let refusal = await error { try await replay(quarantine, fixture, repository, base) }
            #expect(refusal?.code == .tooLarge)
            #expect(refusal?.message == "the session's commits change too many files")
        }
    }

    @Test func `a file that is there so often that it fills a disk is refused`() async throws {
        let script = #"""
            blob=$(head -c 50000000 /dev/zero | git hash-object -w --stdin)
            tree=$(for i in $(seq 100); do printf "100644 blob $blob\t$i\n"; done | git mktree)
            git reset -q --soft $(git commit-tree $tree -p HEAD -m many)
            """#
        try await with(script) { fixture, repository, quarantine, base in
            guard case .moved(let commit) = try await replay(quarantine, fixture, repository, base) else {
                Issue.record("conflicts")
                return
            }
            let refusal = await error { try await quarantine.checkChange(from: base, to: commit) }
            #expect(refusal?.message == "the session's commits make more than 4 GiB of files")
        }
    }

    @Test func `git that needs more memory than it may have is refused`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try await fixture.shell("cd repo; head -c 100000000 /dev/zero > big; git add big; git commit -qm big")
            let command = repository.command.limited(toMemory: 32 << 20)
            let refusal = await error { try await command.run(["diff", "--numstat", "HEAD~1", "HEAD"]) }
            #expect(refusal?.code == .tooLarge)
            #expect(refusal?.message == "git diff needs more than 32 MiB of memory for this")
        }
    }

    @Test func `a thousand commits are moved`() async throws {
        let script = "for i in $(seq 1000); do echo $i >> many; git add many; git commit -qm \"c $i\"; done"
        try await with(script, workspace: "git commit -q --allow-empty -m more") {
            fixture,
            repository,
            quarantine,
            base in
            guard case .moved(let commit) = try await replay(quarantine, fixture, repository, base) else {
                Issue.record("conflicts")
                return
            }
            try await GitLanding(repository).adopt([commit], from: quarantine)
            #expect(try await repository.git("rev-list", "--count", "HEAD..\(commit)") == "1000")
        }
    }
}
