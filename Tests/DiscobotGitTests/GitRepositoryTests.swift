// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct GitRepositoryTests {
    @Test func `opens working trees, bare repositories, worktrees and submodules`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            _ = try await repository.git("worktree", "add", "--quiet", fixture.path("tree"))
            _ = try await repository.git("clone", "--quiet", "--bare", ".", fixture.path("bare.git"))
            _ = try await repository.git("submodule", "--quiet", "add", fixture.path("bare.git"), "sub")
            for name in ["repo", "repo/", "tree", "repo/sub"] {
                let opened = try await GitRepository.open(fixture.path(name), environment: fixture.environment)
                #expect(!opened.isBare)
                #expect(try await opened.headCommit()?.count == 40)
            }
            let bare = try await GitRepository.open(fixture.path("bare.git"), environment: fixture.environment)
            #expect(bare.isBare)
            #expect(await errorCode { try bare.workingFile("config") } == .invalidArgument)
        }
    }

    @Test(arguments: ["plain", "repo/sub", "repo/.git", "bare.git/refs", "missing", "file"])
    func `does not open what is not the top of a repository`(name: String) async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            _ = try await repository.git("clone", "--quiet", "--bare", ".", fixture.path("bare.git"))
            for directory in ["plain", "repo/sub"] { try fixture.makeDirectory(directory) }
            try fixture.write("x", to: "file")
            let error = await error {
                try await GitRepository.open(fixture.path(name), environment: fixture.environment)
            }
            #expect(error == GitError(.notARepository, "not a git repository: \(fixture.path(name))"))
        }
    }

    @Test func `opens only absolute paths`() async {
        #expect(await errorCode { try await GitRepository.open("repo") } == .invalidArgument)
    }

    @Test func `opens through a symbolic link and with a line break in the name`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.repository("a\nb")
            try fixture.link("link", to: "a\nb")
            let opened = try await GitRepository.open(fixture.path("link"), environment: fixture.environment)
            #expect(try await opened.status().isClean)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func `explains how to trust a repository of somebody else`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.repository()
            try #require(chown(fixture.path("repo"), 12_345, 12_345) == 0)
            let error = await error {
                try await GitRepository.open(fixture.path("repo"), environment: fixture.environment)
            }
            #expect(error?.code == .failed)
            #expect(error?.message.contains("safe.directory '\(fixture.path("repo"))'") == true)
        }
    }

    @Test func `resolves names of commits`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            let head = try #require(try await repository.headCommit())
            _ = try await repository.git("tag", "-a", "-m", "x", "v1")
            for ref in ["HEAD", "main", "refs/heads/main", "v1", String(head.prefix(8)), "@"] {
                #expect(try await repository.resolve(ref) == head)
            }
            for ref in ["nope", "main..v1", "HEAD:a.txt", "HEAD~9", "a b"] {
                #expect(await errorCode { try await repository.resolve(ref) } == .notFound)
            }
            for ref in ["", "-x", "--all", "a\nb", "a\0b", "-\u{301}", String(repeating: "x", count: 2_000)] {
                #expect(await errorCode { try await repository.resolve(ref) } == .invalidArgument)
                #expect(await errorCode { try await repository.checkout(ref) } == .invalidArgument)
            }
        }
    }

    @Test func `works before the first commit`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.emptyRepository()
            #expect(try await repository.headCommit() == nil)
            #expect(try await repository.log().isEmpty)
            #expect(try await repository.files().isEmpty)
            #expect(try await repository.branches().isEmpty)
            #expect(try await repository.diff(GitDiffRequest()).isEmpty)
            #expect(await errorCode { try await repository.log(ref: "nope") } == .notFound)
            #expect(await errorCode { try await repository.commit(message: "x") } == .conflict)
            let status = try await repository.status()
            #expect(status.branch == "main" && status.commit.isEmpty && status.isClean)
            try fixture.write("x\n", to: "repo/x")
            try await repository.stage(["x"])
            #expect(try await repository.diff(GitDiffRequest(staged: true)).map(\.status) == [.added])
            #expect(try await repository.commit(message: "x").parents.isEmpty)
        }
    }

    @Test func `reports a repository that is gone as such`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            try FileManager.default.removeItem(atPath: fixture.path("repo/.git"))
            #expect(await errorCode { try await repository.headCommit() } == .notARepository)
            #expect(await errorCode { try await repository.status() } == .notARepository)
        }
    }

    @Test func `checks out branches and commits, and protects local changes`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            _ = try await repository.git("branch", "topic/x")
            try await repository.checkout("topic/x")
            #expect(try await repository.status().branch == "topic/x")
            try await repository.checkout("main~0")
            #expect(try await repository.status().branch == "HEAD")
            #expect(await errorCode { try await repository.checkout("nope") } == .notFound)
            #expect(await errorCode { try await repository.checkout("a.txt") } == .notFound)

            try await repository.checkout("main")
            try fixture.write("two\n", to: "repo/a.txt")
            _ = try await repository.git("commit", "--quiet", "-am", "two")
            try fixture.write("three\n", to: "repo/a.txt")
            let error = await error { try await repository.checkout("topic/x") }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("a.txt") == true)
        }
    }

    @Test func `fetches and prunes, and lists branches by what they are`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository("origin")
            _ = try await origin.git("branch", "gone")
            let url = "file://" + fixture.path("origin")
            let clone = try await GitRepository.clone(
                url,
                into: fixture.path("clone"),
                environment: fixture.environment
            )
            _ = try await origin.git("branch", "-D", "gone")
            _ = try await origin.git("branch", "new")
            _ = try await clone.git("branch", "local/with/slash")
            try await clone.fetch()

            let head = try #require(try await clone.headCommit())
            let branch = { (name: String, isRemote: Bool, isCurrent: Bool, upstream: String) in
                GitBranch(name: name, isRemote: isRemote, isCurrent: isCurrent, commit: head, upstream: upstream)
            }
            #expect(
                try await clone.branches() == [
                    branch("local/with/slash", false, false, ""),
                    branch("main", false, true, "origin/main"),
                    branch("origin/main", true, false, ""),
                    branch("origin/new", true, false, ""),
                ]
            )
            try await clone.checkout("new")
            #expect(try await clone.branches().first { $0.isCurrent }?.upstream == "origin/new")
        }
    }
}
