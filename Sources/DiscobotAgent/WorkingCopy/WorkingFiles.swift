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

    init(_ path: String, workingCopy: WorkingCopy) {
        directory = WorkingDirectory(path)
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
            if condition != .none, !condition.holds(for: try version(of: path)) {
                throw ServerError(.preconditionFailed, "the file was changed meanwhile: \(path)")
            }
            try directory.write(contents, to: path)
        }
    }

    private func version(of path: String) throws -> FileVersion? {
        do {
            return FileVersion(of: try directory.read(path))
        } catch  where error.code == .notFound {
            return nil
        }
    }

    func remove(_ path: String) throws -> DirectoryListing.Kind {
        try translating { try directory.remove(path) }
    }

    func rename(_ old: String, to new: String) throws {
        try translating { try directory.rename(old, to: new) }
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
