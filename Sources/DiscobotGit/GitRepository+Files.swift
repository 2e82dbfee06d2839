// SPDX-License-Identifier: Apache-2.0

extension GitRepository {
    /// The most bytes of one file that are read or written.
    package static let fileLimit = 10 << 20

    /// All directories and files of a commit; nothing before the first commit.
    package func files(at ref: String = "HEAD") async throws -> [GitTreeEntry] {
        guard let commit = try await resolveUnlessUnborn(ref) else { return [] }
        let output = try await command.run(["ls-tree", "-r", "-t", "-z", "--long", "--full-tree", commit])
        return NULFields(output.bytes).compactMap { TreeRecord($0)?.entry }
    }

    /// The content of a file in a commit; of a symbolic link, its target.
    /// Throws `.notFound`, `.tooLarge`, or `.invalidArgument` for what is not a file.
    package func file(_ path: String, at ref: String) async throws -> [UInt8] {
        let path = try GitPath(path).string
        guard let record = try await record(of: path, at: try await resolve(ref)) else {
            throw GitError(.notFound, "File not found: \(path)")
        }
        guard record.isFile else { throw GitError(.invalidArgument, "not a file: \(path)") }
        guard record.entry.size <= Self.fileLimit else { throw GitError(.tooLarge, "file is too large: \(path)") }
        return try await command.run(["cat-file", "blob", record.object], outputLimit: Self.fileLimit).bytes
    }

    /// The content of a file in the working tree.
    /// Throws `.notFound`, `.tooLarge`, or `.invalidArgument` for a path that is not a file of the repository.
    package func workingFile(_ path: String) throws -> [UInt8] {
        try workingDirectory().read(path)
    }

    /// Creates or replaces a file of the working tree, atomically. Directories are created (0755); a new file has
    /// mode 0644, an existing one keeps its mode. Throws like ``workingFile(_:)``.
    package func writeWorkingFile(_ path: String, contents: [UInt8]) throws {
        try workingDirectory().write(contents, to: path)
    }

    private func workingDirectory() throws -> WorkingDirectory {
        guard !isBare else { throw GitError(.invalidArgument, "a bare repository has no working tree") }
        return WorkingDirectory(directory, fileLimit: Self.fileLimit, staging: gitDirectory)
    }

    private func record(of path: String, at commit: String) async throws -> TreeRecord? {
        let output = try await command.run(["ls-tree", "-z", "--long", "--full-tree", commit, "--", path])
        return NULFields(output.bytes).compactMap { TreeRecord($0) }.first { $0.entry.path == path }
    }

    /// nil for `HEAD` before the first commit.
    func resolveUnlessUnborn(_ ref: String) async throws -> String? {
        ref == "HEAD" ? try await headCommit() : try await resolve(ref)
    }
}

/// A record of `ls-tree --long -z`: `<mode> <type> <object> <size> TAB <path>`, the size padded.
private struct TreeRecord {
    let entry: GitTreeEntry
    let object: String
    let isFile: Bool

    init?(_ record: ArraySlice<UInt8>) {
        guard let tab = record.firstIndex(of: UInt8(ascii: "\t")) else { return nil }
        let words = record[..<tab].split(separator: UInt8(ascii: " ")).map(\.text)
        guard words.count == 4 else { return nil }
        let path = record[(tab + 1)...]
        isFile = words[1] == "blob"
        object = words[2]
        entry = GitTreeEntry(
            path: path.text,
            name: path.split(separator: UInt8(ascii: "/")).last?.text ?? path.text,
            isDir: !isFile,
            size: Int(words[3]) ?? 0,
            mode: words[0]
        )
    }
}
