// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import HTTPTypes
import Hummingbird

/// The files of a session.
struct SessionFileRoutes: Sendable {
    /// Base64 of the largest file, and some JSON around it.
    private static let bodyLimit = 15 << 20

    let files: SessionFiles

    var group: EndpointGroup {
        let path = EndpointParameter.query("path", isRequired: true, example: "README.md")
        return EndpointGroup(
            name: "Session files",
            endpoints: [
                endpoint(
                    .get,
                    "",
                    "A directory of the session's working copy",
                    [.query("path", example: "."), .query("hidden", example: "true")],
                    use: list
                ),
                endpoint(
                    .get,
                    "/search",
                    "Files and directories by some letters of their paths",
                    [.query("q", isRequired: true, example: "readme"), .query("limit", example: "50")],
                    use: search
                ),
                endpoint(.get, "/read", "One file, of now or as it was before", [path, .query("fromBase")], use: read),
                endpoint(
                    .put,
                    "/write",
                    "Write a file; If-Match with its etag keeps others' changes",
                    body: ["path": "notes.txt", "content": "Hello\n"],
                    use: write
                ),
                endpoint(.post, "/delete", "Remove a file or directory", body: ["path": "notes.txt"], use: remove),
                endpoint(
                    .post,
                    "/rename",
                    "Rename a file or directory",
                    body: ["oldPath": "notes.txt", "newPath": "docs/notes.txt"],
                    use: rename
                ),
            ]
        )
    }

    private typealias Handler = @Sendable (APIRequest, SessionFiles.Target) async throws -> Response

    private func endpoint(
        _ method: HTTPRequest.Method,
        _ name: String,
        _ summary: String,
        _ parameters: [EndpointParameter] = [],
        body: JSONValue? = nil,
        use handler: @escaping Handler
    ) -> Endpoint {
        .project(
            method,
            "/sessions/{sessionId}/files\(name)",
            summary,
            [.path("sessionId")] + parameters,
            body: body
        ) { request, project in
            try await handler(request, .init(session: request.id("sessionId"), project: project))
        }
    }

    private func list(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        let path = try request.query("path") ?? "."
        let hidden = try request.flag("hidden")
        return try .json(await files.list(path, includingHidden: hidden, of: target))
    }

    private static let defaultResults = 50
    private static let maximumResults = 200

    private func search(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        var limit = Self.defaultResults
        if let text = try request.query("limit") {
            guard let wanted = Int(text), (1...Self.maximumResults).contains(wanted) else {
                throw ServerError.invalidArgument("limit must be a number from 1 to \(Self.maximumResults)")
            }
            limit = wanted
        }
        let query = try bounded(request.query("q"), "q") ?? ""
        return try .json(await files.search(query, limit: limit, of: target))
    }

    private func read(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        let path = try required(request.query("path"), "path query parameter required")
        let file =
            try request.flag("fromBase")
            ? try await files.readFromBase(path, of: target)
            : try await files.read(path, of: target)
        return try .json(file, tag: file.etag)
    }

    private func write(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        let body = try await request.body(WriteFileRequest.self, limit: Self.bodyLimit)
        _ = try required(body.path, "path is required")
        let written = try await files.write(body, conditions: conditions(request), of: target)
        return try .json(written, tag: written.etag)
    }

    private func conditions(_ request: APIRequest) -> SessionFiles.Conditions {
        [HTTPField.Name.ifMatch, .ifNoneMatch].compactMap { name in
            request.raw.headers[name].map { (name: name.canonicalName, value: $0) }
        }
    }

    private func remove(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        let body = try await request.body(RemoveFileRequest.self)
        return try .json(await files.remove(body, conditions: conditions(request), of: target))
    }

    private func rename(_ request: APIRequest, _ target: SessionFiles.Target) async throws -> Response {
        let body = try await request.body(RenameFileRequest.self)
        return try .json(await files.rename(body, conditions: conditions(request), of: target))
    }
}

extension Response {
    /// With the tag that a later request may name in `If-Match`.
    fileprivate static func json(_ value: some Encodable, tag: FileVersion) throws -> Response {
        var response = try Response.json(value)
        response.headers[.eTag] = tag.tag
        return response
    }
}
