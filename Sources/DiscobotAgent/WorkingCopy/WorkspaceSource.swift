// SPDX-License-Identifier: Apache-2.0

/// What the working copy is made of.
package struct WorkspaceSource: Sendable {
    /// Where the workspace's repository is mounted.
    package var path: String
    /// For the working copy's `origin`.
    package var origin: String?
    /// Nil for the repository's HEAD.
    package var commit: String?
    package var sessionID: String

    package init(path: String, origin: String?, commit: String?, sessionID: String) {
        self.path = path
        self.origin = origin
        self.commit = commit
        self.sessionID = sessionID
    }
}
