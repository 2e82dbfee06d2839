// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import SystemPackage

extension GitRepository {
    /// Whether everything of the repository is below its directory: false for linked worktrees and submodules, whose
    /// `.git` is a file, and for repositories that borrow objects from another one.
    package var isSelfContained: Bool {
        let place = isBare ? directory : directory + "/.git"
        var isDirectory = false
        guard FileManager.default.fileExists(atPath: place, isDirectory: &isDirectory), isDirectory else {
            return false
        }
        return !FileManager.default.fileExists(atPath: place + "/objects/info/alternates")
    }
}

extension GitRepository {
    /// Checks cheaply, without running git, whether ``prepareLocal(_:environment:)`` can use `path`.
    /// Throws `.invalidArgument`, `.notFound` or `.notARepository` with the reason.
    package static func checkLocal(_ path: String) throws(GitError) {
        guard path.isAbsolutePath else { throw GitError(.invalidArgument, "the path must be absolute: \(path)") }
        guard !path.utf8.contains(0) else { throw GitError(.invalidArgument, "the path contains a NUL character") }
        let directory = LocalDirectory(path)
        switch try directory.content {
        case .missing where !directory.parentExists:
            throw GitError(.notFound, "parent directory does not exist: \(directory.parent)")
        case .files where !directory.looksLikeRepository:
            throw notARepository(path)
        default:
            return
        }
    }

    /// Opens the repository at `path`; a missing or empty directory becomes one with an empty first commit.
    /// A call that was interrupted at any point can be repeated.
    package static func prepareLocal(
        _ path: String,
        environment: GitEnvironment = GitEnvironment()
    ) async throws -> GitRepository {
        try checkLocal(path)
        let directory = LocalDirectory(path)
        // With nothing but .git this may be our own interrupted work, and adding an empty commit to somebody's fresh
        // `git init` takes nothing away. As soon as there is a file, an unborn repository is left as it is.
        guard try directory.content != .files else { return try await open(path, environment: environment) }
        try directory.create()
        try await initialize(directory.path, environment)
        let repository = try await open(path, environment: environment)
        if try await repository.headCommit() == nil, try await repository.branches().isEmpty {
            try await repository.addFirstCommit()
        }
        return repository
    }

    /// Safe to repeat: git completes an existing repository and overwrites nothing.
    private static func initialize(_ directory: String, _ environment: GitEnvironment) async throws {
        do {
            _ = try await open(directory, environment: environment)
        } catch let error as GitError where error.code == .notARepository {
            let command = GitCommand(directory: directory, environment: environment)
            _ = try await command.run(["init", "--quiet", "--template="])
        }
    }

    /// By plumbing, which leaves an index alone and creates the branch in one step or not at all.
    private func addFirstCommit() async throws {
        let message = "Initial commit"
        let tree = try await command.run(["mktree"]).line
        let commit = try await command.run(
            ["commit-tree", tree, "-m", message],
            variables: GitIdentity.discobot.variables
        ).line
        // The empty old value: the branch must not exist yet.
        _ = try await command.run(["update-ref", "-m", "commit (initial): \(message)", "HEAD", commit, ""])
    }
}

/// A directory that is, or shall become, a repository.
struct LocalDirectory {
    enum Content {
        case missing, empty, gitOnly, files
    }

    let path: String

    init(_ path: String) {
        self.path = FilePath(path).lexicallyNormalized().string
    }

    var parent: String { FilePath(path).removingLastComponent().string }

    var parentExists: Bool { Self.isDirectory(parent) == true }

    /// Throws when there is a file in its place or it cannot be read.
    var content: Content {
        get throws(GitError) {
            guard let isDirectory = Self.isDirectory(path) else { return .missing }
            guard isDirectory else { throw GitError(.invalidArgument, "not a directory: \(path)") }
            do {
                let entries = try FileManager.default.contentsOfDirectory(atPath: path)
                return entries.isEmpty ? .empty : entries == [".git"] ? .gitOnly : .files
            } catch {
                throw GitError(.invalidArgument, "the directory cannot be read: \(path)")
            }
        }
    }

    /// By its files, without asking git: with .git, or bare.
    var looksLikeRepository: Bool {
        exists(".git") || (exists("HEAD") && exists("objects") && exists("refs"))
    }

    func create() throws(GitError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755]
            )
        } catch {
            throw GitError(.invalidArgument, "the directory cannot be created: \(path)")
        }
    }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: FilePath(path).appending(name).string)
    }

    /// nil when there is nothing.
    private static func isDirectory(_ path: String) -> Bool? {
        var isDirectory = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) ? isDirectory : nil
    }
}
