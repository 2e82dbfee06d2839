// SPDX-License-Identifier: Apache-2.0

extension Migration {
    /// Whoever changes a workspace asks for commits that are half way into it.
    static let openLandings = Migration(
        name: "0005-open-landings",
        statements: ["CREATE INDEX sessions_landing ON sessions (workspace_path) WHERE landing IS NOT NULL"]
    )
}
