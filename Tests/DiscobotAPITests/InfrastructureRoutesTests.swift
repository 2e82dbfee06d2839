// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing

@Suite(.timeLimit(.minutes(1)))
struct InfrastructureRoutesTests {
    @Test
    func `says that it is alive and ready`() async throws {
        try await TestServer.with { server in
            let health = try await server.client.get("/health")
            #expect(health.status == 200)
            #expect(health.json["status"].string == "ok")
            let ready = try await server.client.get("/ready")
            #expect(ready.status == 200)
            #expect(ready.json["ready"].bool == true)
        }
    }

    @Test
    func `answers unknown paths and wrong methods as JSON`() async throws {
        try await TestServer.with { server in
            let missing = try await server.client.get("/api/nothing")
            #expect(missing.status == 404)
            #expect(missing.json["error"].string?.isEmpty == false)
            let wrong = try await server.client.send(.patch, "/api/preferences/a", "{}")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "GET, PUT, DELETE")
            #expect(wrong.json["error"].string?.isEmpty == false)
        }
    }
}
