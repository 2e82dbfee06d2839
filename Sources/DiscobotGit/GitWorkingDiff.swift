// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a working copy has that a commit has not, files included that git does not know yet.
///
/// The repository's own index stays as it is: git is given a copy, in which it may note the new files.
package struct GitWorkingDiff: Sendable {
    /// So many bytes of patches are read.
    package static let patchLimit = 16 << 20
    /// Files above this are compared as binary ones, which takes no memory.
    private static let largestText = "16m"

    private let command: GitCommand
    private let directory: String
    private let index: String

    /// - Parameters:
    ///   - command: runs in the top directory of the working copy.
    ///   - index: a path where the copy of the index may be meanwhile.
    package init(_ command: GitCommand, directory: String, index: String) {
        self.command = command
        self.directory = directory
        self.index = index
    }

    /// The changed files, in the order of git, and whether there are more, or more patches, than are told.
    package struct Changes: Sendable, Equatable {
        package let files: [GitFileDiff]
        package let isCut: Bool
        /// Paths of files that cannot be read; what has changed in them is not known.
        package let unreadable: Set<String>
    }

    /// Compares with where the working copy left `bases`, the first that it has, or else with nothing.
    /// Throws ``GitError``.
    package func changes(
        since bases: [String],
        path: String? = nil,
        includingPatches: Bool = true
    ) async throws -> Changes {
        let path = try path.map { try GitPath($0).string }
        defer { removeIndex() }
        _ = try IndexCopy.make(of: "\(directory)/.git/index", at: index)
        async let base = base(bases)
        try await noteNewFiles(path)
        let since = try await base
        var unreadable: Set<[UInt8]> = []
        // Another look tells of others, or finds that one that was just removed is gone.
        for _ in 0..<Self.retries {
            do {
                return try await changes(since, path, includingPatches, unreadable)
            } catch let error as GitError where error.code == .failed {
                unreadable.formUnion(try await passOverUnreadableFiles())
            }
        }
        return try await changes(since, path, includingPatches, unreadable)
    }

    private static let retries = 2

    private func changes(
        _ since: String,
        _ path: String?,
        _ includingPatches: Bool,
        _ unreadable: Set<[UInt8]>
    ) async throws -> Changes {
        let told = try await toldChanges(since, path, includingPatches)
        let names = Set(unreadable.map { $0[...].text })
        let left = names.subtracting(told.files.map(\.path)).filter { path == nil || path == $0 }
        let files = told.files + left.map { GitFileDiff(unreadable: $0) }
        return Changes(
            files: left.isEmpty ? files : files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) },
            isCut: told.isCut,
            unreadable: names
        )
    }

    /// What git tells.
    private func toldChanges(
        _ since: String,
        _ path: String?,
        _ includingPatches: Bool
    ) async throws -> (files: [GitFileDiff], isCut: Bool) {
        guard let path else { return try await diff(since, [], includingPatches) }
        let found = try await diff(since, [path], includingPatches)
        // Seen alone, a file with a new name is a new file.
        guard found.files.count == 1, found.files[0].status == .added else { return found }
        try await noteNewFiles(nil)
        let moves = try await diff(since, [], false, ["--diff-filter=R"])
        guard let move = moves.files.first(where: { $0.path == path }) else { return found }
        return try await diff(since, [move.oldPath, path], includingPatches)
    }

    private func diff(
        _ base: String,
        _ paths: [String],
        _ includesPatches: Bool,
        _ options: [String] = []
    ) async throws -> (files: [GitFileDiff], isCut: Bool) {
        let output = try await run(
            ["-c", "core.bigFileThreshold=\(Self.largestText)", "diff"] + (includesPatches ? ["--patch"] : [])
                + GitRepository.commonDiffOptions + options + [base, "--"] + paths,
            limit: 2 * Self.patchLimit,
            isCut: true
        )
        return (try GitDiffParser.parse(output.bytes, isCut: output.isCut), output.isCut)
    }

    private func base(_ bases: [String]) async throws -> String {
        for base in bases {
            try GitRepository.check(base)
            let output = try await command.run(["merge-base", "HEAD", base], acceptedExitCodes: [0, 1, 128])
            if output.exitCode == 0 { return output.line }
            // They have nothing in common, or there is no commit yet.
            let itself = try await command.run(
                ["rev-parse", "-q", "--verify", "--end-of-options", "\(base)^{commit}"],
                acceptedExitCodes: [0, 1, 128]
            )
            if itself.exitCode == 0 { return itself.line }
        }
        return try await command.run(["hash-object", "-t", "tree", "/dev/null"]).line
    }

    private func noteNewFiles(_ path: String?) async throws {
        // Mostly there are none, and looking takes a fifth of the time.
        let new = try await run(
            ["ls-files", "--others", "--exclude-standard", "-z", "--", path ?? "."],
            limit: 1,
            isCut: true
        )
        guard !new.bytes.isEmpty else { return }
        // A path that is ignored or gone is refused, and has nothing to be noted.
        _ = try await run(
            // A repository in it that has no commit keeps none of the others from being noted.
            ["add", "--ignore-errors", "--intent-to-add", "--", path ?? "."],
            acceptedExitCodes: path == nil ? [0, 1] : [0, 1, 128]
        )
    }

    /// Has git take files that cannot be read for unchanged, new ones for empty: one is enough for it to tell nothing.
    private func passOverUnreadableFiles() async throws -> [[UInt8]] {
        let edited = try await run(["diff-files", "--name-only", "-z"], limit: 2 * Self.patchLimit)
        let unreadable = NULFields(edited.bytes).filter { TreeFile($0, in: directory).isUnreadable }.map { Array($0) }
        guard !unreadable.isEmpty else { return [] }
        _ = try await run(
            ["update-index", "--assume-unchanged", "-z", "--stdin"],
            input: unreadable.flatMap { $0 + [0] }
        )
        return unreadable
    }

    private func run(
        _ arguments: [String],
        input: [UInt8] = [],
        limit: Int = 1 << 20,
        isCut: Bool = false,
        acceptedExitCodes: Set<Int32> = [0]
    ) async throws -> GitOutput {
        try await command.run(
            arguments,
            input: input,
            files: .init(isOutputCut: isCut),
            variables: ["GIT_INDEX_FILE": index],
            outputLimit: limit,
            acceptedExitCodes: acceptedExitCodes
        )
    }

    private func removeIndex() {
        unlink(index)
        unlink(index + ".lock")
    }
}

extension GitFileDiff {
    /// One that git knows, and nobody can read now.
    fileprivate init(unreadable path: String) {
        self.init(path: path, oldPath: "", status: .modified, binary: false, additions: 0, deletions: 0, patch: "")
    }
}
