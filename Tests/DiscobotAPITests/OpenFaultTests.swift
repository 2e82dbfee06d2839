// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// What the server does wrong today; each test moves to the suite of its route once it passes.
@Suite(.timeLimit(.minutes(1)))
struct OpenFaultTests {
    /// 404 says that the workspace is gone, which it is not.
    @Test
    func `says that a fetch failed when the remote is gone`() async throws {
        try await TestServer.with { server in
            let source = try await server.directory.makeRepository()
            let workspace = try await server.client.makeWorkspace(body(["path": "file://\(source)"]))
            try FileManager.default.removeItem(atPath: source)
            let git = "/api/projects/local/workspaces/\(workspace["id"].string ?? "")/git"
            expectRefusal(try await server.client.send(.post, "\(git)/fetch"), 500, naming: "Failed to fetch")
        }
    }
}
