// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotServices
import Hummingbird

/// What sessions have changed, and the way of that to the workspace.
struct SessionChangeRoutes: Sendable {
    let files: SessionFiles

    var group: EndpointGroup {
        EndpointGroup(
            name: "Session changes",
            endpoints: [
                .project(
                    .get,
                    "/sessions/{sessionId}/diff",
                    "What the session has changed; of one file with path, names only with format=files",
                    [.path("sessionId"), .query("path"), .query("format", example: "files")],
                    use: diff
                )
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
