// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// What sessions have changed, and the way of that to the workspace.
struct SessionChangeRoutes: Sendable {
    let files: SessionFiles
    let commits: CommitService

    var group: EndpointGroup {
        let id = [EndpointParameter.path("sessionId")]
        return EndpointGroup(
            name: "Session changes",
            endpoints: [
                .project(
                    .get,
                    "/sessions/{sessionId}/diff",
                    "What the session has changed; of one file with path, names only with format=files",
                    id + [.query("path"), .query("format", example: "files")],
                    use: diff
                ),
                .project(
                    .post,
                    "/sessions/{sessionId}/commit",
                    "Take the session's commits to the workspace",
                    id
                ) { request, project in
                    try await commits.commit(request.id("sessionId"), of: project)
                    return try .success()
                },
                .project(
                    .post,
                    "/sessions/{sessionId}/rebase",
                    "Put what the session has on top of the workspace's newest commit",
                    id
                ) { request, project in
                    try await commits.rebase(request.id("sessionId"), of: project)
                    return try .success()
                },
            ]
        )
    }

    private func diff(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        let target = SessionFiles.Target(session: try request.id("sessionId"), project: project)
        let includesPatches =
            switch try request.query("format") {
            case nil: true
            case "files": false
            default: throw ServerError.invalidArgument("format must be files, or absent")
            }
        guard let path = try request.query("path") else {
            return try .json(await files.diff(includingPatches: includesPatches, of: target))
        }
        return try .json(await files.diff(of: path, includingPatches: includesPatches, of: target))
    }
}
