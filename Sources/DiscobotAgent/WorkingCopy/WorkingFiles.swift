// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel

/// The files of the working copy, for those who look at them and edit them from outside.
///
/// One change at a time, so that what a writer expects still holds when the file is replaced. Everything throws
/// `ServerError`.
actor WorkingFiles {
    private let directory: WorkingDirectory
    private let workingCopy: WorkingCopy

    init(_ directories: DataDirectories, workingCopy: WorkingCopy) {
        directory = WorkingDirectory(directories.workspace, staging: directories.agent)
        self.workingCopy = workingCopy
    }

    nonisolated func list(_ path: String, includingHidden: Bool) throws -> DirectoryListing {
        try translating { try directory.list(path, includingHidden: includingHidden) }
    }

    nonisolated func read(_ path: String) throws -> [UInt8] {
        try translating { try directory.read(path) }
    }

    /// Throws `preconditionFailed` as well.
    func write(_ contents: [UInt8], to path: String, _ condition: FileCondition) throws {
        try translating {
            try check(condition, path)
            try directory.write(contents, to: path)
        }
    }

    private func check(_ condition: FileCondition, _ path: String) throws {
        guard condition != .none, !condition.holds(for: try version(of: path)) else { return }
        throw ServerError(.preconditionFailed, "the file was changed meanwhile: \(path)")
    }

    /// One that nobody can name for what has no content to be told.
    private func version(of path: String) throws -> FileVersion? {
        do {
            return FileVersion(of: try directory.read(path))
        } catch {
            if error.code == .notFound { return nil }
            let hasContent = error.code != .tooLarge && (try? directory.list(path, includingHidden: false)) == nil
            guard hasContent else { return FileVersion(tag: "") }
            throw error
        }
    }

    /// Throws `preconditionFailed` as well.
    func remove(_ path: String, _ condition: FileCondition) throws -> DirectoryListing.Kind {
        try translating {
            try check(condition, path)
            return try directory.remove(path)
        }
    }

    /// Throws `preconditionFailed` as well.
    ///
    /// - Parameter condition: of what has the old name.
    func rename(_ old: String, to new: String, _ condition: FileCondition) throws {
        try translating {
            try check(condition, old)
            try directory.rename(old, to: new)
        }
    }

    private nonisolated func translating<Value>(_ body: () throws -> Value) throws -> Value {
        try workingCopy.requireReady()
        do {
            return try body()
        } catch let error as GitError {
            throw ServerError(error)
        }
    }
}

extension ServerError {
    /// Git's own failures are told as they are: the sandbox belongs to the user.
    init(_ error: GitError) {
        let code: Code =
            switch error.code {
            case .invalidArgument: .invalidArgument
            case .notFound: .notFound
            case .conflict: .conflict
            case .tooLarge: .tooLarge
            case .forbidden: .forbidden
            case .storageFull: .storageFull
            case .timedOut: .timedOut
            case .notARepository, .notInstalled, .failed: .operationFailed
            }
        self.init(code, error.message, cause: error)
    }
}
