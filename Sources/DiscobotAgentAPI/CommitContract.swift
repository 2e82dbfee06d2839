// SPDX-License-Identifier: Apache-2.0

/// `GET /commits?parent=`
package struct CommitsResponse: Sendable, Codable, Equatable {
    /// Mails in the format of `git format-patch`, one after the other.
    package let patches: String
    package let commitCount: Int

    package init(patches: String, commitCount: Int) {
        self.patches = patches
        self.commitCount = commitCount
    }
}

/// `GET /commits/pack?exclude=`, which may be repeated: a git pack; 204 when there are no commits.
package enum CommitPack {
    /// The last of the commits, in a header of the answer.
    package static let head = "X-Discobot-Head"
    package static let commitCount = "X-Discobot-Commit-Count"
}

/// `POST /rebase`: puts what the session has on top of another commit.
package struct RebaseRequest: Sendable, Codable, Equatable {
    /// The commit, which the working copy's repository must have.
    package let onto: String
    /// Commits that are there already, in whatever form.
    package let landed: [String]

    package init(onto: String, landed: [String]) {
        self.onto = onto
        self.landed = landed
    }
}

package struct RebaseResponse: Sendable, Codable, Equatable {
    package struct Conflict: Sendable, Codable, Equatable {
        package let path: String
        /// For people.
        package let reason: String

        package init(path: String, reason: String) {
            self.path = path
            self.reason = reason
        }
    }

    /// The working copy's commit now.
    package let head: String
    /// Why nothing has changed; empty when it is done.
    package let conflicts: [Conflict]
    /// The commit that does not fit; nil for changes that are not committed.
    package let subject: String?

    package init(head: String, conflicts: [Conflict], subject: String?) {
        self.head = head
        self.conflicts = conflicts
        self.subject = subject
    }
}
