// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import Hummingbird

/// What the working copy has that the workspace has not.
struct ChangeRoutes: Sendable {
    let changes: WorkingChanges

    var routes: [AgentRoute] {
        [AgentRoute(method: .get, path: "/diff", handler: diff)]
    }

    private func diff(_ request: Request, _ context: AppRequestContext) async throws -> Response {
        let base = request.query("base")
        let includesPatches = request.query("format") != "files"
        guard let path = request.query("path") else {
            return try .json(await changes.diff(since: base, includingPatches: includesPatches))
        }
        return try .json(await changes.diff(of: path, since: base, includingPatches: includesPatches))
    }
}
