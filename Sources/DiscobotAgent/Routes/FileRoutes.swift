// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird

/// The files of the working copy.
struct FileRoutes: Sendable {
    let files: WorkingFiles
    let search: FileSearch

    /// Base64 of the largest file, and some JSON around it.
    private static let bodyLimit = 15 << 20

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/files", handler: list),
            AgentRoute(method: .get, path: "/files/read", handler: read),
            AgentRoute(method: .get, path: "/files/search", handler: find),
            AgentRoute(method: .post, path: "/files/write", handler: write),
            AgentRoute(method: .post, path: "/files/delete", handler: remove),
            AgentRoute(method: .post, path: "/files/rename", handler: rename),
        ]
    }

    private func list(_ request: Request, _ context: AppRequestContext) throws -> Response {
        let listing = try files.list(
            request.query("path") ?? ".",
            includingHidden: request.query("hidden") == "true"
        )
        return try .json(
            DirectoryResponse(
                path: listing.path,
                entries: listing.entries.map { .init(name: $0.name, type: $0.type.rawValue, size: $0.size) },
                truncated: listing.truncated ? true : nil
            )
        )
    }

    private func find(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let limit = request.query("limit").flatMap { Int($0) } ?? 50
        return try .json(await search.search(request.query("q") ?? "", limit: limit))
    }

    private func read(_ request: Request, _ context: AppRequestContext) throws -> Response {
        let path = try required(request.query("path"), "path is required")
        return try .json(FileResponse(path: path, contents: try files.read(path)))
    }

    private func write(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let condition = try condition(request)
        let body = try await JSONBody.decode(WriteFileRequest.self, from: request.body, limit: Self.bodyLimit)
        let path = try required(body.path, "path is required")
        guard let content = body.content else { throw ServerError.invalidArgument("content is required") }
        let contents = try (body.encoding ?? .utf8).decode(content)
        try await files.write(contents, to: path, condition)
        return try .json(WriteFileResponse(path: path, contents: contents))
    }

    private func remove(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let condition = try condition(request)
        let body = try await JSONBody.decode(RemoveFileRequest.self, from: request.body, limit: 1 << 16)
        let path = try required(body.path, "path is required")
        return try .json(RemoveFileResponse(path: path, type: try await files.remove(path, condition).rawValue))
    }

    private func rename(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let condition = try condition(request)
        let body = try await JSONBody.decode(RenameFileRequest.self, from: request.body, limit: 1 << 16)
        let oldPath = try required(body.oldPath, "oldPath is required")
        let newPath = try required(body.newPath, "newPath is required")
        try await files.rename(oldPath, to: newPath, condition)
        return try .json(RenameFileResponse(oldPath: oldPath, newPath: newPath))
    }

    private func condition(_ request: Request) throws -> FileCondition {
        try FileCondition(ifMatch: request.headers[.ifMatch], ifNoneMatch: request.headers[.ifNoneMatch])
    }

    private func required(_ value: String?, _ message: String) throws -> String {
        guard let value, !value.isEmpty else { throw ServerError.invalidArgument(message) }
        return value
    }
}
