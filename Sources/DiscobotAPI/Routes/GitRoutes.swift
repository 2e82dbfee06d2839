// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import HTTPTypes
import Hummingbird

/// Git operations on a workspace.
struct GitRoutes: Sendable {
    /// Base64 of the largest file that can be written, and some JSON around it.
    private static let fileBodyLimit = 15 << 20

    let git: GitService

    var group: EndpointGroup {
        EndpointGroup(name: "Git", endpoints: reading + changing)
    }

    private var reading: [Endpoint] {
        [
            endpoint(.get, "status", "Branch and changed files", use: status),
            endpoint(.get, "branches", "Local and remote branches", use: branches),
            endpoint(
                .get,
                "diff",
                "Changes, file by file",
                [
                    .query("staged", example: "false"), .query("base", example: "HEAD~1"), .query("head"),
                    .query("path"),
                ],
                use: diff
            ),
            endpoint(.get, "files", "All files of a commit", [.query("ref", example: "HEAD")], use: files),
            endpoint(
                .get,
                "file",
                "One file, of the working copy or of a commit",
                [.query("path", isRequired: true, example: "README.md"), .query("ref")],
                use: file
            ),
            endpoint(
                .get,
                "log",
                "Commits, newest first",
                [.query("ref", example: "HEAD")] + EndpointParameter.page,
                use: log
            ),
        ]
    }

    private var changing: [Endpoint] {
        [
            endpoint(.post, "fetch", "Fetch all remotes and prune", use: fetch),
            endpoint(.post, "checkout", "Check out a branch, tag or commit", body: ["ref": "main"], use: checkout),
            endpoint(
                .post,
                "file",
                "Write a file of the working copy",
                body: ["path": "notes.txt", "content": "Hello\n"],
                use: writeFile
            ),
            endpoint(.post, "stage", "Stage paths; an empty list means everything", body: ["paths": []], use: stage),
            endpoint(
                .post,
                "commit",
                "Commit what is staged",
                body: ["message": "Change something", "authorName": nil, "authorEmail": nil],
                use: commit
            ),
        ]
    }

    private typealias Handler = @Sendable (APIRequest, GitService.Target) async throws -> Response

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
            "/workspaces/{workspaceId}/git/\(name)",
            summary,
            [.path("workspaceId")] + parameters,
            body: body
        ) { request, project in
            try await handler(request, .init(workspace: request.id("workspaceId"), project: project))
        }
    }

    private func status(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        try .json(await git.status(target))
    }

    private struct BranchesResponse: Encodable {
        let branches: [GitBranch]
    }

    private func branches(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        try .json(BranchesResponse(branches: await git.branches(target)))
    }

    private struct DiffResponse: Encodable {
        let diffs: [GitFileDiff]
    }

    private func diff(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let wanted = GitDiffRequest(
            staged: try request.flag("staged"),
            base: try request.query("base"),
            // The original's own description calls it target.
            head: try request.query("head") ?? request.query("target"),
            paths: request.queryList("path")
        )
        return try .json(DiffResponse(diffs: await git.diff(target, wanted)))
    }

    private struct FilesResponse: Encodable {
        let files: [GitTreeEntry]
    }

    private func files(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        try .json(FilesResponse(files: await git.files(target, at: try request.query("ref") ?? "HEAD")))
    }

    private struct FileResponse: Encodable {
        let path: String
        let ref: String
        let content: String
        let encoding: FileEncoding
    }

    private func file(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let path = try required(request.query("path"), "path is required")
        let ref = try request.query("ref")
        let bytes = try await git.file(target, path: path, at: ref)
        let (content, encoding) = FileEncoding.encode(bytes)
        return try .json(FileResponse(path: path, ref: ref ?? "", content: content, encoding: encoding))
    }

    private struct WriteFileRequest: Decodable {
        let path: String?
        let content: String?
        let encoding: FileEncoding?
    }

    private func writeFile(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let body = try await request.body(WriteFileRequest.self, limit: Self.fileBodyLimit)
        let path = try required(body.path, "path is required")
        guard let content = body.content else { throw ServerError.invalidArgument("content is required") }
        try await git.write(target, path: path, contents: (body.encoding ?? .utf8).decode(content))
        return try .success()
    }

    private struct LogResponse: Encodable {
        let commits: [GitCommit]
        let nextCursor: String?
    }

    private func log(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let limit = try request.limit(default: 50)
        let (start, skip) = try await logPosition(request, target)
        guard let start else { return try .json(LogResponse(commits: [], nextCursor: nil)) }
        let commits = try await git.log(target, ref: start, limit: limit + 1, skip: skip)
        let next = commits.count > limit ? OpaqueCursor.encode("\(start):\(skip + limit)") : nil
        return try .json(LogResponse(commits: Array(commits.prefix(limit)), nextCursor: next))
    }

    /// A cursor holds the commit that the first page began with, so that new commits do not shift the pages.
    private func logPosition(_ request: APIRequest, _ target: GitService.Target) async throws -> (String?, Int) {
        guard let cursor = try request.query("cursor") else {
            return (try await git.resolve(target, ref: try request.query("ref") ?? "HEAD"), 0)
        }
        let (commit, skip) = try OpaqueCursor.decode(cursor)
        guard let skip = Int(skip), skip >= 0, commit.allSatisfy(\.isHexDigit) else { throw OpaqueCursor.invalid }
        return (commit, skip)
    }

    private func fetch(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        try await git.fetch(target)
        return try .success()
    }

    private struct CheckoutRequest: Decodable {
        let ref: String?
    }

    private func checkout(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let ref = try required(try await request.body(CheckoutRequest.self).ref, "ref is required")
        try await git.checkout(target, ref: ref)
        return try .success()
    }

    private struct StageRequest: Decodable {
        let paths: [String]?
    }

    private func stage(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        try await git.stage(target, paths: request.body(StageRequest.self).paths ?? [])
        return try .success()
    }

    private struct CommitRequest: Decodable {
        let message: String?
        let authorName: String?
        let authorEmail: String?

        var author: GitIdentity? {
            guard let authorName, let authorEmail, !authorName.isEmpty, !authorEmail.isEmpty else { return nil }
            return GitIdentity(name: authorName, email: authorEmail)
        }
    }

    private func commit(_ request: APIRequest, _ target: GitService.Target) async throws -> Response {
        let body = try await request.body(CommitRequest.self)
        let message = try required(body.message, "message is required")
        return try .json(await git.commit(target, message: message, author: body.author), status: .created)
    }
}
