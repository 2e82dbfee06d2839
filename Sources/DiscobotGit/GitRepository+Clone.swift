// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Synchronization
import SystemPackage

extension GitRepository {
    /// Clones `url` so that `directory` either holds the complete clone or is untouched. A repository that is there
    /// already is returned as it is. `progress` is called for changes only.
    /// One clone per directory at a time: a second one would remove the first one's staging directory.
    package static func clone(
        _ url: String,
        into directory: String,
        environment: GitEnvironment = GitEnvironment(),
        timeout: Duration = .seconds(1_800),
        progress: @escaping @Sendable (GitCloneProgress) -> Void = { _ in }
    ) async throws -> GitRepository {
        guard case .remote(let url) = try GitSource.remote(parsing: url) else {
            throw GitError(.invalidArgument, "not a remote repository")
        }
        let place = try ClonePlace(directory)
        if let existing = try await place.existingRepository(environment) { return existing }
        try await discardUnfinishedClone(of: directory)
        try place.prepareParent()
        defer { place.removeStaging() }
        try await GitCommand(directory: place.parent, environment: environment).stream(
            // --no-local copies from a path as from a network: no hard links, no symbolic links followed.
            ["clone", "--progress", "--no-local", "--template=", "--origin=origin", "--", url, place.staging],
            variables: UnfinishedClones.mark(place.directory),
            timeout: timeout,
            onErrorLine: changesOnly(progress)
        )
        try place.publish()
        return try await open(directory, environment: environment)
    }

    /// Ends and removes what a killed server has left of a clone into `directory`, which itself stays as it is.
    /// Not while this server clones into it.
    package static func discardUnfinishedClone(of directory: String) async throws {
        let place = try ClonePlace(directory)
        try await UnfinishedClones.end(in: place.directory)
        try place.removeOldStaging()
    }

    private static func changesOnly(
        _ report: @escaping @Sendable (GitCloneProgress) -> Void
    ) -> @Sendable (String) -> Void {
        let last = Mutex<GitCloneProgress?>(nil)
        return { line in
            guard let progress = GitCloneProgress(line: line) else { return }
            let isNew = last.withLock { last in
                defer { last = progress }
                return last != progress
            }
            if isNew { report(progress) }
        }
    }
}

/// Where a clone goes, and the sibling it is made in: only a rename makes it visible.
private struct ClonePlace {
    let directory: String
    let parent: String
    let name: String
    let staging: String

    init(_ path: String) throws {
        let normalized = FilePath(path).lexicallyNormalized()
        guard path.isAbsolutePath, let name = normalized.lastComponent?.string else {
            throw GitError(.invalidArgument, "the path must be absolute: \(path)")
        }
        let parent = normalized.removingLastComponent()
        self.directory = normalized.string
        self.parent = parent.string
        self.name = name
        staging = parent.appending(".\(name).\(UUID().uuidString).cloning").string
    }

    /// nil when the directory is missing or empty.
    func existingRepository(_ environment: GitEnvironment) async throws -> GitRepository? {
        switch try LocalDirectory(directory).content {
        case .missing, .empty: nil
        case .gitOnly, .files: try await GitRepository.open(directory, environment: environment)
        }
    }

    func prepareParent() throws {
        do {
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        } catch {
            throw GitError(.failed, "the directory for the clone could not be created: \(parent)")
        }
    }

    func removeOldStaging() throws {
        guard FileManager.default.fileExists(atPath: parent) else { return }
        do {
            for entry in try FileManager.default.contentsOfDirectory(atPath: parent) where isStaging(entry) {
                try FileManager.default.removeItem(atPath: FilePath(parent).appending(entry).string)
            }
        } catch {
            throw GitError(.failed, "what is left of an earlier clone could not be removed: \(parent)")
        }
    }

    /// Exactly a UUID between the name and the suffix: `a.b` must not take the staging of a neighbour `a`.
    private func isStaging(_ entry: String) -> Bool {
        guard entry.hasPrefix(".\(name)."), entry.hasSuffix(".cloning") else { return false }
        return UUID(uuidString: String(entry.dropFirst(name.count + 2).dropLast(".cloning".count))) != nil
    }

    /// Moves the finished clone to its place; an empty directory is replaced.
    func publish() throws {
        guard rename(staging, directory) == 0 else {
            throw GitError(.failed, "the clone could not be moved to its place: \(Errno(rawValue: errno))")
        }
    }

    func removeStaging() {
        try? FileManager.default.removeItem(atPath: staging)
    }
}
