// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation

/// Notes which database the sandboxes of a directory belong to.
///
/// A server removes sandboxes whose sessions it does not know. With two databases on one directory, each would remove the
/// other's with all data.
enum SandboxOwner {
    /// Throws `unavailable` when the directory is another database's that is still there.
    static func claim(_ directory: String, for database: String) throws {
        let note = directory + "/owner"
        let owner = (try? String(contentsOfFile: note, encoding: .utf8))?.trimmingCharacters(in: .newlines)
        if let owner, owner != database, FileManager.default.fileExists(atPath: owner) {
            throw ServerError(
                .unavailable,
                "SANDBOX_DIR: the sandboxes in \(directory) belong to the server with the database \(owner); "
                    + "choose another directory for this one"
            )
        }
        do {
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            if owner != database { try Data((database + "\n").utf8).write(to: URL(filePath: note), options: .atomic) }
        } catch {
            throw ServerError(
                .unavailable,
                "SANDBOX_DIR: \(directory) cannot be written; check who may write there",
                cause: error
            )
        }
    }
}
