// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
package import DiscobotAgentAPI
import NIOCore
import NIOHTTP1
import SystemPackage

// What the working copy has that the workspace has not; see `DiffContract.swift`.
extension AgentClient {
    /// JSON of the largest diff.
    private static let diffLimit = 64 << 20

    /// - Parameters:
    ///   - base: the commit to compare with; nil for where the working copy began.
    ///   - includingPatches: otherwise names only.
    package func diff(since base: String?, includingPatches: Bool) async throws -> DiffResponse {
        try await patient.call(
            .GET,
            Self.path(base, includingPatches, nil),
            timeout: .seconds(90),
            limit: Self.diffLimit
        )
    }

    package func diff(of path: String, since base: String?, includingPatches: Bool) async throws -> FileDiff {
        try await patient.call(
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

    // MARK: - Commits

    /// Writes a pack of the session's commits beyond those in `excluded` into a new file, of at most `limit` bytes.
    /// Nil when there are none.
    ///
    /// - Returns: the last of the commits, as the agent says.
    package func writeCommits(beyond excluded: [String], to path: String, limit: Int) async throws -> String? {
        let query = excluded.map { "exclude=\($0.percentEncoded)" }.joined(separator: "&")
        let response = try await patient.stream(.GET, "/commits/pack?\(query)", timeout: .seconds(900))
        guard response.status != .noContent else { return nil }
        guard let head = response.headers.first(name: CommitPack.head), Self.isObjectID(head) else {
            throw AgentError(.invalidAnswer, "the sandbox's agent does not say which commit it sends")
        }
        do {
            let file = try FileDescriptor.open(
                FilePath(path),
                .writeOnly,
                options: [.create, .truncate, .closeOnExec],
                permissions: .ownerReadWrite
            )
            defer { try? file.close() }
            var size = 0
            for try await buffer in response.body {
                size += buffer.readableBytes
                guard size <= limit else {
                    throw AgentError(.tooLarge, "the session's commits have more than \(limit >> 20) MiB")
                }
                try file.writeAll(buffer.readableBytesView)
            }
        } catch let error as Errno where [.noSpace, .diskQuotaExceeded].contains(error) {
            throw AgentError(.storageFull, "there is no room for the session's commits on the server", cause: error)
        } catch let error where !(error is AgentError || error is CancellationError) {
            throw Self.unreachable(error, otherwise: "the session's commits could not be copied")
        }
        return head
    }

    private static func isObjectID(_ text: String) -> Bool {
        [40, 64].contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    /// Puts what the session has on top of another commit, or says what does not fit, and then nothing changes.
    package func rebase(_ request: RebaseRequest) async throws -> RebaseResponse {
        try await patient.call(.POST, "/rebase", body: request, timeout: .seconds(1_800))
    }
}
