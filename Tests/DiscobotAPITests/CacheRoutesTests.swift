// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Synchronization
import Testing
import discobot_server

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct CacheRoutesTests {
    private static let path = "/api/projects/local/cache"
    private static let cache = CacheVolume(
        name: "c",
        driver: "d",
        mountpoint: "/m",
        createdAt: Timestamp(milliseconds: 0),
        labels: [:]
    )

    @Test
    func `shows and removes what the sandboxes of a project share`() async throws {
        try await TestServer.with { server in
            let none = try await server.client.get(Self.path)
            #expect(none.status == 200)
            #expect(none.text == #"{"volumes":[]}"#)
            let cache = server.directory.file("data/sandboxes/caches/local")
            try FileManager.default.createDirectory(atPath: cache + "/home", withIntermediateDirectories: true)
            let volumes = try await server.client.get(Self.path).json["volumes"].list
            #expect(volumes.count == 1)
            #expect(volumes.first?["Name"].string == "discobot-cache-local")
            #expect(volumes.first?["Driver"].string == "local")
            #expect(volumes.first?["Mountpoint"].string == cache)
            #expect(volumes.first?["Labels"]["discobot.project.id"].string == "local")
            expectSuccess(try await server.client.delete(Self.path))
            #expect(!FileManager.default.fileExists(atPath: cache))
            expectSuccess(try await server.client.delete(Self.path))
        }
    }

    @Test
    func `only admins remove it`() async throws {
        try await TestServer.with { server in
            let id = try await server.client.makeProject()
            _ = try await server.store.write {
                try $0.execute("UPDATE project_members SET role = 'member' WHERE project_id = \(id)")
            }
            #expect(try await server.client.get("/api/projects/\(id)/cache").status == 200)
            expectRefusal(try await server.client.delete("/api/projects/\(id)/cache"), 403, naming: "Admin access")
            expectRefusal(try await server.client.get("/api/projects/unknown/cache"), 403)
        }
    }

    @Test
    func `says when no provider has such a thing`() async throws {
        try await TestServer.with { options in
            options.providers = [MockSandboxProvider()]
        } _: { server in
            expectRefusal(
                try await server.client.get(Self.path),
                501,
                naming: "Cache volumes not supported by provider"
            )
            expectRefusal(try await server.client.delete(Self.path), 501)
        }
    }

    @Test(arguments: [
        (SandboxError.Code.inUse, 409), (.failed, 500), (.unavailable, 503),
    ])
    func `says why it is not removed`(code: SandboxError.Code, status: Int) async throws {
        try await TestServer.with { options in
            let error = SandboxError(code, "for a reason")
            options.providers = [MockSandboxProvider(caches: .success([Self.cache]), cacheRemoval: { throw error })]
        } _: { server in
            expectRefusal(try await server.client.delete(Self.path), status, naming: "for a reason")
            #expect(try await server.client.get(Self.path).json["volumes"].list.count == 1)
        }
    }

    @Test
    func `a provider that cannot be asked keeps others from nothing, but nobody hears that all is removed`()
        async throws
    {
        let removed = Mutex(0)
        let absence = SandboxError(.unavailable, "nobody is there")
        try await TestServer.with { options in
            options.providers = [
                MockSandboxProvider(caches: .failure(absence), cacheRemoval: { throw absence }),
                MockSandboxProvider(caches: .success([Self.cache]), cacheRemoval: { removed.withLock { $0 += 1 } }),
                MockSandboxProvider(),
            ]
        } _: { server in
            #expect(try await server.client.get(Self.path).json["volumes"].list.count == 1)
            expectRefusal(try await server.client.delete(Self.path), 503, naming: "nobody is there")
            #expect(removed.withLock { $0 } == 1)
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
            let message = TestClient.message(
                "readlink ~/.npm; echo x >~/.npm/package; ls ~/.npm",
                session: session,
                id: "m",
                workspace: workspace,
                agent: agent
            )
            #expect(try await client.chat(message).text == "/.data/cache/home/.npm\npackage\n")
            let volumes = try await client.get(Self.path).json["volumes"].list
            #expect(volumes.count == 1)
            #expect(volumes.first?["Name"].string?.contains("cache-local") == true)
            #expect(volumes.first?["Driver"].string == "local")
            #expect(volumes.first?["Mountpoint"].string?.hasPrefix("/") == true)
            let refusal = try await client.delete(Self.path)
            #expect(refusal.status == 409)
            #expect(refusal.json["error"].string?.contains("sandboxes") == true)
            try await client.removeSession(session)
            #expect(try await client.delete(Self.path).status == 200)
            #expect(try await client.get(Self.path).text == #"{"volumes":[]}"#)
        }
    }
}
