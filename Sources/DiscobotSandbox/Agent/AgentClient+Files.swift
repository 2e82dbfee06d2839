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
        try await call(.GET, "/files/search?q=\(query.percentEncoded)&limit=\(limit)", timeout: .seconds(60))
    }

    package func readFile(_ path: String) async throws -> FileResponse {
        try await call(.GET, "/files/read?path=\(path.percentEncoded)")
    }

    /// - Parameter conditions: `If-Match` and `If-None-Match` as the user gave them.
    package func writeFile(
        _ request: WriteFileRequest,
        conditions: [(name: String, value: String)]
    ) async throws -> WriteFileResponse {
        try await call(.POST, "/files/write", body: request, headers: conditions.map { ($0.name, $0.value) })
    }

    package func removeFile(_ request: RemoveFileRequest) async throws -> RemoveFileResponse {
        try await call(.POST, "/files/delete", body: request)
    }

    package func renameFile(_ request: RenameFileRequest) async throws -> RenameFileResponse {
        try await call(.POST, "/files/rename", body: request)
    }
}
