// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Subprocess
import SystemPackage
import Testing

/// A real client library against the server's WebSockets.
@Suite(.timeLimit(.minutes(10)))
struct ClientLibraryTests {
    @Test
    func `the library websockets has nothing to complain about`() async throws {
        let python = try TestAgents.folder(of: "python3") + "/python3"
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../scripts/check-websockets.py").standardizedFileURL.path
        try await UpgradeServer.with { server in
            let result = try await Subprocess.run(
                .path(FilePath(python)),
                arguments: [script, server.url],
                output: .string(limit: 1 << 20),
                error: .string(limit: 1 << 20)
            )
            #expect(result.standardOutput == "")
            #expect(result.standardError == "")
            #expect(result.terminationStatus.isSuccess)
        }
    }
}
