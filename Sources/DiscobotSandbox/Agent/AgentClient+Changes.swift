// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import NIOCore
import NIOHTTP1

// What the working copy has that the workspace has not; see `DiffContract.swift`.
extension AgentClient {
    /// JSON of the largest diff.
    private static let diffLimit = 64 << 20

    /// - Parameters:
    ///   - base: the commit to compare with; nil for where the working copy began.
    ///   - includingPatches: otherwise names only.
    package func diff(since base: String?, includingPatches: Bool) async throws -> DiffResponse {
        try await call(
            .GET,
            Self.path(base, includingPatches, nil),
            timeout: .seconds(90),
            limit: Self.diffLimit
        )
    }

    package func diff(of path: String, since base: String?, includingPatches: Bool) async throws -> FileDiff {
        try await call(
            .GET,
            Self.path(base, includingPatches, path),
            timeout: .seconds(90),
            limit: Self.diffLimit
        )
    }

    private static func path(_ base: String?, _ includesPatches: Bool, _ path: String?) -> String {
        var fields: [String] = []
        if let base { fields.append("base=\(base.percentEncoded)") }
        if !includesPatches { fields.append("format=files") }
        if let path { fields.append("path=\(path.percentEncoded)") }
        return "/diff" + (fields.isEmpty ? "" : "?" + fields.joined(separator: "&"))
    }
}
