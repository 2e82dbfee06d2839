// SPDX-License-Identifier: Apache-2.0

// Property names are the names in the API's JSON.

/// A local or remote-tracking branch.
package struct GitBranch: Encodable, Equatable, Sendable {
    /// Without `refs/heads/` or `refs/remotes/`.
    package let name: String
    package let isRemote: Bool
    package let isCurrent: Bool
    /// The full sha.
    package let commit: String
    /// The branch it follows, such as `origin/main`; empty without one.
    package let upstream: String
}

/// The changes of one file.
package struct GitFileDiff: Encodable, Equatable, Sendable {
    package let path: String
    /// The former name of a renamed or the origin of a copied file, empty otherwise.
    package let oldPath: String
    package let status: GitChange
    package let binary: Bool
    /// Lines; 0 for binary files.
    package let additions: Int
    /// Lines; 0 for binary files.
    package let deletions: Int
    /// In git's unified format with its header; empty for a conflict without a version of ours.
    package let patch: String
}

/// A file, directory or submodule in a commit.
package struct GitTreeEntry: Encodable, Equatable, Sendable {
    package let path: String
    package let name: String
    /// True for submodules, too.
    package let isDir: Bool
    /// Bytes; 0 for directories.
    package let size: Int
    /// Six octal digits, such as `100644`.
    package let mode: String
}

/// A commit without its changes.
package struct GitCommit: Encodable, Equatable, Sendable {
    package let sha: String
    /// Seven digits.
    package let shortSha: String
    /// The subject line.
    package let message: String
    package let author: String
    package let authorEmail: String
    /// RFC 3339.
    package let authorDate: String
    package let committer: String
    /// RFC 3339.
    package let commitDate: String
    package let parents: [String]
}

/// Who writes a commit.
package struct GitIdentity: Equatable, Sendable {
    package let name: String
    package let email: String

    package init(name: String, email: String) {
        self.name = name
        self.email = email
    }

    /// Used where the user has configured nobody.
    package static let discobot = GitIdentity(name: "Discobot", email: "discobot@localhost")
}

/// Which two states a diff compares.
package struct GitDiffRequest: Equatable, Sendable {
    /// Compares the index instead of the working tree.
    package var staged: Bool
    /// The older side; nil is the index, or `HEAD` when staged.
    package var base: String?
    /// The newer side, instead of the working tree; needs `base`.
    package var head: String?
    /// Limits the diff to these files and directories; empty is everything.
    package var paths: [String]

    package init(staged: Bool = false, base: String? = nil, head: String? = nil, paths: [String] = []) {
        self.staged = staged
        self.base = base
        self.head = head
        self.paths = paths
    }
}
