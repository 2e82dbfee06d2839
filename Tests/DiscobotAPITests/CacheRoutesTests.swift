// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing
import discobot_server

@Suite(.timeLimit(.minutes(3)))
struct CacheRoutesTests {
    private static let path = "/api/projects/local/cache"

    @Test
    func `a project has no cache before its first sandbox`() async throws {
        try await TestServer.with { server in
            let before = try await server.client.get(Self.path)
            #expect(before.text == #"{"volumes":[]}"#)
            #expect(try await server.client.delete(Self.path).text == #"{"success":true}"#)
            #expect(try await server.client.get("/api/projects/none/cache").status == 403)
        }
    }

    @Test(arguments: ["local", "docker"])
    func `a cache is listed, stays while there are sandboxes, and goes then`(provider: String) async throws {
        let engine = provider == "docker" ? try await DockerEngine.shared() : nil
        try await TestServer.with {
            guard let engine else { return }
            $0.docker.address = .unix(path: String(engine.host.dropFirst("unix://".count)))
            $0.docker.image = DockerEngine.image
        } _: { server in
            let client = server.client
            let workspace = try await client.makeChatWorkspace(
                try await server.directory.makeRepository(),
                provider: provider
            )
            let agent = try await client.makeAgent("shell")
            let session = ID<Session>.random().rawValue
            let message = TestClient.message("echo hi", session: session, id: "m", workspace: workspace, agent: agent)
            #expect(try await client.chat(message).text == "hi\n")
            let volumes = try await client.get(Self.path).json["volumes"].list
            #expect(volumes.count == 1)
            #expect(volumes.first?["Name"].string?.contains("cache-local") == true)
            #expect(volumes.first?["Driver"].string == "local")
            #expect(volumes.first?["Mountpoint"].string?.hasPrefix("/") == true)
            let refusal = try await client.delete(Self.path)
            #expect(refusal.status == 409)
            #expect(refusal.json["error"].string == "the project still has sandboxes")
            try await client.removeSession(session)
            #expect(try await client.delete(Self.path).status == 200)
            #expect(try await client.get(Self.path).text == #"{"volumes":[]}"#)
        }
    }
}
