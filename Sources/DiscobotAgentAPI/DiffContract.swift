// SPDX-License-Identifier: Apache-2.0

/// `GET /diff`: what a session has changed.
package struct DiffResponse: Sendable, Codable, Equatable {
    package let files: [FileDiff]
    package let stats: Stats
    /// Whether there are more files than these; absent otherwise.
    package let truncated: Bool?

    /// Of all files, also of those that are left out.
    package struct Stats: Sendable, Codable, Equatable {
        package let filesChanged: Int
        package let additions: Int
        package let deletions: Int

        package init(filesChanged: Int, additions: Int, deletions: Int) {
            self.filesChanged = filesChanged
            self.additions = additions
            self.deletions = deletions
        }
    }

    package init(files: [FileDiff], stats: Stats, truncated: Bool?) {
        self.files = files
        self.stats = stats
        self.truncated = truncated
    }
}

/// What has become of one file.
package struct FileDiff: Sendable, Codable, Equatable {
    package enum Status: String, Sendable, Codable {
        case added, modified, deleted, renamed
        /// Only where one file is asked for.
        case unchanged
    }

    package let path: String
    package let status: Status
    /// The former name of a renamed file.
    package let oldPath: String?
    /// Lines; nil where only names are asked for, as is what follows.
    package let additions: Int?
    package let deletions: Int?
    package let binary: Bool?
    /// In git's unified format; nil for binary files, and where `truncated` says that it is too large or the file cannot
    /// be read.
    package let patch: String?
    package let truncated: Bool?

    /// Only the name.
    package init(path: String, status: Status, oldPath: String?) {
        self.init(
            path: path,
            status: status,
            oldPath: oldPath,
            additions: nil,
            deletions: nil,
            binary: nil,
            patch: nil,
            truncated: nil
        )
    }

    package init(
        path: String,
        status: Status,
        oldPath: String?,
        additions: Int?,
        deletions: Int?,
        binary: Bool?,
        patch: String?,
        truncated: Bool?
    ) {
        self.path = path
        self.status = status
        self.oldPath = oldPath
        self.additions = additions
        self.deletions = deletions
        self.binary = binary
        self.patch = patch
        self.truncated = truncated
    }
}
