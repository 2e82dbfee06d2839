// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// Commits of sessions on their way to the workspace.
    static let commits = Migration(
        name: "0003-commits",
        statements: [
            "ALTER TABLE sessions ADD COLUMN landed_commit TEXT",
            // JSON of a `CommitLanding`.
            "ALTER TABLE sessions ADD COLUMN landing TEXT",
        ]
    )
}
