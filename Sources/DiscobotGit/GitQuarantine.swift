// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A repository of its own, in which commits from elsewhere are checked and moved while the real one sees nothing of
/// it. It borrows the real one's objects, and has neither its configuration nor anybody's: no filter, hook or merge
/// program runs here. Its working tree stays empty.
package struct GitQuarantine: Sendable {
    /// What commits from elsewhere may come to.
    package enum Limit {
        /// Bytes of a pack.
        package static let pack = 512 << 20
        static let commits = 10_000
        static let objects = 500_000
        /// Bytes of one file.
        static let file = 100 << 20
        /// Bytes of all objects, unpacked.
        static let total = 4 << 30
        /// Bytes of git's list of all files that the commits change, each as often as one does; about a million.
        static let changes = 128 << 20
        /// Bytes of git's list of the files that differ in the end.
        static let change = 32 << 20
        /// Bytes of memory that a process has for commits, and one that lists what they change.
        static let memory: UInt = 2 << 30
        static let listMemory: UInt = 256 << 20
    }

    package let directory: String
    let command: GitCommand

    /// Makes one at `directory`, in the place of what is there.
    ///
    /// - Parameters:
    ///   - original: runs in the real repository.
    ///   - committer: of commits that are moved.
    package static func make(
        at directory: String,
        for original: GitCommand,
        committer: GitIdentity
    ) async throws -> GitQuarantine {
        let quarantine = GitQuarantine(directory, original, committer)
        // A git that outlives its server would go on in the new one.
        try await marked(directory).end()
        quarantine.discard()
        let answers = try await original.run(["rev-parse", "--show-object-format", "--git-path", "objects"]).text
            .split(separator: "\n", maxSplits: 1).map(\.trimmed)
        guard answers.count == 2, let top = original.directory else {
            throw GitError(.failed, "the repository does not say where its objects are")
        }
        let objects = answers[1].isAbsolutePath ? answers[1] : "\(top)/\(answers[1])"
        try await quarantine.create(format: answers[0], objects: objects)
        return quarantine
    }

    private static func marked(_ directory: String) -> MarkedProcesses {
        MarkedProcesses("DISCOBOT_QUARANTINE", directory)
    }

    private init(_ directory: String, _ original: GitCommand, _ committer: GitIdentity) {
        self.directory = directory
        let own = [
            "GIT_CONFIG_GLOBAL": "/dev/null",
            // What a pack claims to hold is not believed without end.
            "GIT_ALLOC_LIMIT": "1g",
        ]
        command = GitCommand(
            directory: directory,
            environment: original.environment.adding(
                own.merging(committer.variables) { $1 }.merging(Self.marked(directory).mark) { $1 }
            ),
            memoryLimit: Limit.memory
        )
    }

    private func create(format: String, objects: String) async throws {
        do {
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            let format = format == "sha1" ? [] : ["--object-format=\(format)"]
            _ = try await command.run(["init", "--quiet", "--template=", "-b", "quarantine"] + format)
            for name in ["info", "objects/info"] {
                try FileManager.default.createDirectory(atPath: git(name), withIntermediateDirectories: true)
            }
            try (objects + "\n").write(toFile: git("objects/info/alternates"), atomically: false, encoding: .utf8)
            // Nothing matches, so that no file is written but those in conflict.
            try "/.discobot/nothing\n".write(toFile: git("info/sparse-checkout"), atomically: false, encoding: .utf8)
        } catch let error as GitError {
            throw error
        } catch {
            throw GitError(.storageFull, "there is no room to look at commits: \(error)")
        }
    }

    private func git(_ name: String) -> String { "\(directory)/.git/\(name)" }

    /// Where a pack may be put before it is taken in.
    package var packFile: String { git("incoming.pack") }

    /// Takes in the pack at ``packFile``: each object is checked, and must be whole. Throws ``GitError``.
    package func takePack() async throws {
        _ = try await command.run(
            ["index-pack", "--stdin", "--fix-thin", "--strict", "--max-input-size=\(Limit.pack)"],
            files: .init(input: packFile),
            timeout: .seconds(600)
        )
        try? FileManager.default.removeItem(atPath: packFile)
    }

    /// Copies commits into a repository, where refs keep them if there are any.
    func release(_ commits: [(commit: String, ref: String?)], to target: GitCommand) async throws {
        let names = commits.indices.map { "refs/heads/release\($0)" }
        let updates = zip(names, commits).map { "update \($0) \($1.commit)\n" }.joined()
        _ = try await command.run(["update-ref", "--stdin"], input: Array(updates.utf8))
        let refspecs = zip(names, commits).map { name, entry in entry.ref.map { "+\(name):\($0)" } ?? name }
        _ = try await target.run(
            [
                "-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-prune",
                "--no-recurse-submodules", "--", directory,
            ] + refspecs,
            timeout: .seconds(600)
        )
    }

    package func discard() {
        try? FileManager.default.removeItem(atPath: directory)
    }
}
