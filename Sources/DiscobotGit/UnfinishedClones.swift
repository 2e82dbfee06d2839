// SPDX-License-Identifier: Apache-2.0

/// The git processes of clones whose server has been killed.
package enum UnfinishedClones {
    private static let variable = "DISCOBOT_CLONE"

    /// The variable for a clone into `directory`.
    static func mark(_ directory: String) -> [String: String] {
        MarkedProcesses(variable, directory).mark
    }

    /// Ends all clones into `directory` or a place below it, this server's own included. Throws ``GitError``.
    package static func end(in directory: String) async throws {
        try await MarkedProcesses(variable, directory).end()
    }
}
