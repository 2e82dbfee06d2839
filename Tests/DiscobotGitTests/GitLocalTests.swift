// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct GitLocalTests {
    @Test(arguments: ["new", "empty"])
    func `makes a repository of a missing or empty directory`(name: String) async throws {
        try await Fixture.with(identity: false) { fixture in
            try fixture.makeDirectory("empty")
            let path = fixture.path(name)
            try GitRepository.checkLocal(path)
            let repository = try await GitRepository.prepareLocal(path, environment: fixture.environment)
            let log = try await repository.log()
            #expect(log.map(\.message) == ["Initial commit"])
            #expect(log.first?.author == "Discobot" && log.first?.authorEmail == "discobot@localhost")
            #expect(log.first?.committer == "Discobot")
            #expect(try await repository.files().isEmpty)
            #expect(try await repository.status().isClean)
            #expect(try fixture.mode(name) == 0o755)

            let again = try await GitRepository.prepareLocal(path, environment: fixture.environment)
            #expect(try await again.log() == log)
        }
    }

    @Test(arguments: ["before init", "during init", "before the commit"])
    func `completes its own interrupted work`(moment: String) async throws {
        try await Fixture.with { fixture in
            try fixture.makeDirectory("work")
            if moment != "before init" { _ = try await fixture.command("work").run(["init", "--quiet"]) }
            if moment == "during init" { try FileManager.default.removeItem(atPath: fixture.path("work/.git/HEAD")) }
            let repository = try await GitRepository.prepareLocal(
                fixture.path("work"),
                environment: fixture.environment
            )
            #expect(try await repository.log().map(\.message) == ["Initial commit"])
        }
    }

    @Test func `leaves a repository of the user alone`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.emptyRepository("unborn")
            try fixture.write("x", to: "unborn/file")
            let unborn = try await GitRepository.prepareLocal(fixture.path("unborn"), environment: fixture.environment)
            #expect(try await unborn.headCommit() == nil)

            let born = try await fixture.repository("born")
            let prepared = try await GitRepository.prepareLocal(fixture.path("born"), environment: fixture.environment)
            #expect(try await prepared.headCommit() == born.headCommit())

            _ = try await born.git("clone", "--quiet", "--bare", ".", fixture.path("bare"))
            #expect(try await GitRepository.prepareLocal(fixture.path("bare"), environment: fixture.environment).isBare)
        }
    }

    @Test func `adds no commit to an orphan branch`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            _ = try await repository.git("checkout", "--quiet", "--orphan", "new")
            _ = try await repository.git("rm", "--quiet", "-rf", ".")
            let prepared = try await GitRepository.prepareLocal(fixture.path("repo"), environment: fixture.environment)
            #expect(try await prepared.headCommit() == nil)
        }
    }

    @Test(arguments: [
        ("missing/new", GitError.Code.notFound, "parent directory does not exist"),
        ("files", .notARepository, "not a git repository"),
        ("files/x", .invalidArgument, "not a directory"),
    ])
    func `refuses what cannot become a repository`(name: String, code: GitError.Code, message: String) async throws {
        try await Fixture.with { fixture in
            try fixture.write("x", to: "files/x")
            let path = fixture.path(name)
            for error in [
                await error { try GitRepository.checkLocal(path) },
                await error { try await GitRepository.prepareLocal(path, environment: fixture.environment) },
            ] {
                #expect(error?.code == code)
                #expect(error?.message.contains(message) == true)
            }
        }
    }

    @Test func `refuses relative paths`() async {
        #expect(await errorCode { try GitRepository.checkLocal("x") } == .invalidArgument)
        #expect(await errorCode { try GitRepository.checkLocal("/x\0y") } == .invalidArgument)
    }
}
