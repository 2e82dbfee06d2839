// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import NIOCore
import NIOHTTP1

// The files of the working copy; see `FileContract.swift`.
extension AgentClient {
    package func files(in path: String, includingHidden: Bool) async throws -> DirectoryResponse {
        try await call(.GET, "/files?path=\(path.percentEncoded)&hidden=\(includingHidden)")
    }

    package func searchFiles(_ query: String, limit: Int) async throws -> FileSearchResponse {
        // Its first list of a large working copy may take longer than others are silent.
        try await patient.call(.GET, "/files/search?q=\(query.percentEncoded)&limit=\(limit)", timeout: .seconds(60))
    }

    package func readFile(_ path: String) async throws -> FileResponse {
        try await call(.GET, "/files/read?path=\(path.percentEncoded)")
    }

    /// `If-Match` and `If-None-Match` as the user gave them.
    package typealias Conditions = [(name: String, value: String)]

    package func writeFile(
        _ request: WriteFileRequest,
        conditions: Conditions
    ) async throws -> WriteFileResponse {
        try await call(.POST, "/files/write", body: request.compact, headers: conditions.map { ($0.name, $0.value) })
    }

    package func removeFile(
        _ request: RemoveFileRequest,
        conditions: Conditions = []
    ) async throws -> RemoveFileResponse {
        try await call(.POST, "/files/delete", body: request, headers: conditions.map { ($0.name, $0.value) })
    }

    /// - Parameter conditions: of the file at the old path.
    package func renameFile(
        _ request: RenameFileRequest,
        conditions: Conditions = []
    ) async throws -> RenameFileResponse {
        try await call(.POST, "/files/rename", body: request, headers: conditions.map { ($0.name, $0.value) })
    }
}
