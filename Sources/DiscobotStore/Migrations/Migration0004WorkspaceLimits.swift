// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// What the sandboxes of a workspace may use.
    static let workspaceLimits = Migration(
        name: "0004-workspace-limits",
        statements: ["ALTER TABLE workspaces ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'"]
    )
}
