// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// What the sandboxes of a workspace may use.
    static let workspaceLimits = Migration(
        name: "0003-workspace-limits",
        statements: ["ALTER TABLE workspaces ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'"]
    )
}
