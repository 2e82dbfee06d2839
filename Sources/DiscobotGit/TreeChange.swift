// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A change of files and index from one tree to another, as git makes it: first the files, then the index. One that was
/// begun and not ended is undone.
struct TreeChange: Sendable {
    private let command: GitCommand
    private let directory: String
    private let gitDirectory: String
    private let old: String
    private let new: String

    /// - Parameters:
    ///   - command: runs in the top directory of the working tree.
    ///   - old: a tree, or a commit that has it, as is `new`.
    init(_ command: GitCommand, directory: String, gitDirectory: String, from old: String, to new: String) {
        self.command = command
        self.directory = directory
        self.gitDirectory = gitDirectory
        self.old = old
        self.new = new
    }

    enum Kind: Sendable {
        case added, removed, changed
    }

    /// What becomes of each path that differs.
    func paths() async throws -> [[UInt8]: Kind] {
        let output = try await command.run(["diff-tree", "-r", "--no-renames", "--name-status", "-z", old, new])
        var fields = NULFields(output.bytes)
        var paths: [[UInt8]: Kind] = [:]
        while let status = fields.next(), let path = fields.next() {
            paths[Array(path)] =
                switch status.first {
                case UInt8(ascii: "A"): .added
                case UInt8(ascii: "D"): .removed
                default: .changed
                }
        }
        return paths
    }

    /// Of a directory that is in the way, so many are named.
    private static let namedFiles = 1_000

    /// Files that are there, that git does not know, and that would be lost: also those that it is told to ignore.
    func untracked(among paths: [[UInt8]: Kind]) -> [[UInt8]] {
        paths.filter { $0.value == .added }.keys.flatMap { path -> [[UInt8]] in
            let file = file(path)
            if let obstruction = file.obstruction { return paths[obstruction] == .removed ? [] : [obstruction] }
            guard file.isDirectory else { return file.exists ? [path] : [] }
            // A directory makes room for a file when all in it is removed.
            return file.contents(limit: Self.namedFiles) { paths[$0] != .removed }
        }
    }

    /// Whether the index is at the newer tree; then all files are.
    func hasReachedIndex(_ paths: [[UInt8]: Kind]) async throws -> Bool {
        let missing = try await names(["diff-index", "--cached", "--name-only", "-z", new])
        return !paths.isEmpty && missing.isDisjoint(with: paths.keys)
    }

    /// Takes files back to the index, which is at the older tree: those that are as in the newer one, or the beginning of
    /// that, or gone. Before the change began they were as in the index, so nobody's work is lost.
    func undo(_ paths: [[UInt8]: Kind]) async throws {
        _ = try await run(["update-index", "-q", "--refresh"], acceptedExitCodes: [0, 1])
        let differing = try await names(["diff-files", "--name-only", "-z"])
        let touched = paths.filter { path, kind in
            guard kind != .added else { return file(path).exists && !file(path).isDirectory }
            return differing.contains(path)
        }
        guard !touched.isEmpty else { return }
        let foreign = try await foreign(touched)
        let own = touched.filter { !foreign.contains($0.key) }
        // First, as others come back to their places, and as they would be in the way of the next try.
        for (path, kind) in own where kind == .added { file(path).remove() }
        let restored = own.filter { $0.value != .added && file($0.key).makeRoom() }.keys
        guard !restored.isEmpty else { return }
        _ = try await run(["checkout-index", "--force", "-z", "--stdin"], input: Self.list(restored))
    }

    /// What somebody else has written meanwhile.
    private func foreign(_ touched: [[UInt8]: Kind]) async throws -> Set<[UInt8]> {
        let present = touched.filter { file($0.key).exists && !file($0.key).isDirectory }
        let scratch = "\(gitDirectory)/discobot-undo"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        try makeScratch(scratch)
        let index = "\(scratch)/index"
        _ = try await run(["read-tree", new], index: index)
        _ = try await run(["update-index", "-q", "--refresh"], index: index, acceptedExitCodes: [0, 1])
        let unlike = try await names(["diff-files", "--name-only", "-z"], index: index)
        let suspects = present.filter { $0.value != .removed && unlike.contains($0.key) }.keys
        let kept = Set(present.filter { $0.value == .removed }.keys)
        guard !suspects.isEmpty else { return kept }
        // What git would have written, to be compared with.
        let prefix = "--prefix=\(scratch)/files/"
        _ = try await run(["checkout-index", prefix, "-z", "--stdin"], input: Self.list(suspects), index: index)
        return kept.union(
            suspects.filter { !file($0).isBeginning(of: TreeFile($0, in: "\(scratch)/files")) }
        )
    }

    private func makeScratch(_ path: String) throws {
        do {
            // What a killed server has left.
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw GitError(.failed, "there is no room to look at half written files: \(error)")
        }
    }

    private func file(_ name: [UInt8]) -> TreeFile { TreeFile(name, in: directory) }

    private static func list(_ paths: some Sequence<[UInt8]>) -> [UInt8] { paths.flatMap { $0 + [0] } }

    private func names(_ arguments: [String], index: String? = nil) async throws -> Set<[UInt8]> {
        Set(NULFields(try await run(arguments, index: index).bytes).map { Array($0) })
    }

    private func run(
        _ arguments: [String],
        input: [UInt8] = [],
        index: String? = nil,
        acceptedExitCodes: Set<Int32> = [0]
    ) async throws -> GitOutput {
        try await command.run(
            ["-c", "checkout.workers=1"] + arguments,
            input: input,
            variables: index.map { ["GIT_INDEX_FILE": $0] } ?? [:],
            timeout: .seconds(600),
            acceptedExitCodes: acceptedExitCodes
        )
    }
}
