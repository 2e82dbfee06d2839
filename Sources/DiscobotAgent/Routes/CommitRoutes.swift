// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotHTTP
import DiscobotModel
import HTTPTypes
import Hummingbird
import NIOCore
import SystemPackage

/// The commits of the working copy.
struct CommitRoutes: Sendable {
    let commits: WorkingCommits

    var routes: [AgentRoute] {
        [
            AgentRoute(method: .get, path: "/commits", handler: patches),
            AgentRoute(method: .get, path: "/commits/pack", handler: pack),
            AgentRoute(method: .post, path: "/rebase", handler: rebase),
        ]
    }

    private func patches(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        do {
            return try .json(await commits.patches(after: request.query("parent") ?? ""))
        } catch let refusal as GitCommitExport.Refusal {
            return switch refusal {
            case .notARepository: try .refused("not_git_repo", "the working copy is no git repository", .badRequest)
            case .invalidParent: try .refused("invalid_parent", "parent must be a commit", .badRequest)
            case .parentMismatch:
                try .refused("parent_mismatch", "parent is not a commit that HEAD is based on", .conflict)
            case .noCommits: try .refused("no_commits", "there are no commits after parent", .notFound)
            }
        }
    }

    private func pack(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let excluded = request.uri.queryParameters[values: "exclude"].map(String.init)
        guard excluded.count <= 16 else { throw ServerError.invalidArgument("exclude: too many commits") }
        guard let pack = try await commits.pack(beyond: excluded) else { return Response(status: .noContent) }
        var headers = HTTPFields()
        headers[.contentType] = "application/octet-stream"
        for (name, value) in [(CommitPack.head, pack.head), (CommitPack.commitCount, String(pack.count))] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return Response(
            status: .ok,
            headers: headers,
            body: ResponseBody { writer in
                defer { try? pack.file.close() }
                var bytes = [UInt8](repeating: 0, count: 64 << 10)
                while case let count = try bytes.withUnsafeMutableBytes({ try pack.file.read(into: $0) }), count > 0 {
                    try await writer.write(ByteBuffer(bytes: bytes.prefix(count)))
                }
                try await writer.finish(nil)
            }
        )
    }

    private func rebase(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let body = try await JSONBody.decode(RebaseRequest.self, from: request.body, limit: 1 << 16)
        return try .json(await commits.rebase(body))
    }
}

extension Response {
    private struct Refusal: Encodable {
        let error: String
        let message: String
    }

    fileprivate static func refused(
        _ error: String,
        _ message: String,
        _ status: HTTPResponse.Status
    ) throws -> Response {
        try .json(Refusal(error: error, message: message), status: status)
    }
}
