// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotHTTP
import Foundation
import Subprocess
import SystemPackage

/// Checks whole streams of chunks by `scripts/validate-chunks.py`: each chunk's type by an independent transcription of
/// the protocol, and the order rules.
package enum ChunkStreamValidator {
    /// Returns what is wrong; empty when nothing is.
    package static func complaints(about chunks: [Chunk]) async throws -> String {
        let lines = try chunks.map { String(decoding: try JSONEncoding.bytes(of: $0), as: UTF8.self) + "\n" }
        return try await run([], lines.joined())
    }

    /// The same for the text of server-sent events, which has to end with `[DONE]`.
    package static func complaints(aboutEvents text: String) async throws -> String {
        try await run(["--events"], text)
    }

    private static var script: String {
        URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../scripts/validate-chunks.py").standardizedFileURL.path
    }

    private static func run(_ options: [String], _ text: String) async throws -> String {
        let python = try TestAgents.folder(of: "python3") + "/python3"
        let result = try await Subprocess.run(
            .path(FilePath(python)),
            arguments: Arguments([script] + options),
            input: .string(text),
            output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 20)
        )
        if result.terminationStatus.isSuccess { return "" }
        let complaints = result.standardOutput
        return complaints.isEmpty ? result.standardError : complaints
    }
}
