// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

/// A temporary directory with a home of its own, removed at the end, and ways to make repositories in it.
struct Fixture {
    let root: String
    let environment: GitEnvironment

    static func with<Result>(
        identity: Bool = true,
        _ body: (Fixture) async throws -> Result
    ) async throws -> Result {
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("git-tests-\(UUID().uuidString)")
        // Canonical, because git reports canonical paths.
        let root = URL(fileURLWithPath: base.path).path
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root + "/home", withIntermediateDirectories: true)
        var process = ProcessInfo.processInfo.environment
        process["HOME"] = root + "/home"
        process["XDG_CONFIG_HOME"] = root + "/home/.config"
        let fixture = Fixture(root: root, environment: GitEnvironment(inheriting: process))
        if identity {
            try fixture.write("[user]\n\tname = Ada\n\temail = ada@example.com\n", to: "home/.gitconfig")
        }
        return try await body(fixture)
    }

    func path(_ name: String) -> String { root + "/" + name }

    func command(_ name: String) -> GitCommand {
        GitCommand(directory: path(name), environment: environment)
    }

    /// Runs a script of `sh` in the fixture's directory, in git's environment; returns what it prints. `$1` is the first of
    /// the arguments.
    @discardableResult
    func shell(_ script: String, _ arguments: String...) async throws -> String {
        let command = GitCommand(directory: root, environment: environment)
        return try await command.run(
            ["-c", "alias.script=!sh -ec \"$TEST_SCRIPT\" sh", "script"] + arguments,
            variables: ["TEST_SCRIPT": script, "GIT_LITERAL_PATHSPECS": "0"],
            timeout: .seconds(600)
        ).line
    }

    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
    }

    func write(_ text: String, to name: String) throws {
        try write(Array(text.utf8), to: name)
    }

    func write(_ bytes: [UInt8], to name: String) throws {
        let url = URL(fileURLWithPath: path(name))
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    func link(_ name: String, to target: String) throws {
        try #require(symlink(target, path(name)) == 0)
    }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    func mode(_ name: String) throws -> mode_t {
        var status = stat()
        try #require(lstat(path(name), &status) == 0)
        return status.st_mode & 0o777
    }

    /// An unborn repository.
    func emptyRepository(_ name: String = "repo") async throws -> GitRepository {
        try makeDirectory(name)
        _ = try await command(name).run(["init", "--quiet"])
        return try await GitRepository.open(path(name), environment: environment)
    }

    /// A repository with one commit that holds `files`.
    func repository(
        _ name: String = "repo",
        files: [String: String] = ["a.txt": "one\n"]
    ) async throws -> GitRepository {
        let repository = try await emptyRepository(name)
        for (file, text) in files { try write(text, to: "\(name)/\(file)") }
        try await repository.stage([])
        _ = try await repository.commit(message: "first")
        return repository
    }
}

extension GitRepository {
    /// Runs git in the repository.
    func git(_ arguments: String...) async throws -> String {
        try await command.run(arguments).line
    }

    /// Leaves a merge of `a.txt` in conflict.
    func makeConflict(in fixture: Fixture, name: String = "repo") async throws {
        _ = try await git("checkout", "--quiet", "-b", "other")
        try fixture.write("theirs\n", to: "\(name)/a.txt")
        _ = try await git("commit", "--quiet", "-am", "theirs")
        _ = try await git("checkout", "--quiet", "main")
        try fixture.write("ours\n", to: "\(name)/a.txt")
        _ = try await git("commit", "--quiet", "-am", "ours")
        _ = try await command.run(["merge", "other"], acceptedExitCodes: [1])
    }
}

/// The code of the ``GitError`` that `body` throws.
func errorCode<Result>(
    _ body: () async throws -> Result,
    sourceLocation: SourceLocation = #_sourceLocation
) async -> GitError.Code? {
    await error(body, sourceLocation: sourceLocation)?.code
}

/// The ``GitError`` that `body` throws.
func error<Result>(
    _ body: () async throws -> Result,
    sourceLocation: SourceLocation = #_sourceLocation
) async -> GitError? {
    await #expect(throws: GitError.self, sourceLocation: sourceLocation) { _ = try await body() }
}
