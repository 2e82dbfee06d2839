// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import HTTPTypes
import Testing
import discobot_server

@testable import DiscobotAPI

@Suite(.timeLimit(.minutes(10)))
struct HostMiddlewareTests {
    @Test(arguments: ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.1.2.3", "::1"])
    func `knows the names of this machine`(host: String) {
        #expect(HostMiddleware.isLoopback(host))
    }

    @Test(arguments: ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "notlocalhost", "128.0.0.1"])
    func `knows other names`(host: String) {
        #expect(!HostMiddleware.isLoopback(host))
    }

    @Test(arguments: [("localhost:3001", "localhost"), ("[::1]:3001", "::1"), ("example.com", "example.com")])
    func `the host is the authority without its port`(authority: String, host: String) {
        #expect(HostMiddleware.host(of: authority) == host)
    }

    @Test
    func `a foreign name that leads to this machine gets nothing`() async throws {
        try await TestServer.with {
            $0.corsOrigins = ["https://discobot.example.com"]
        } _: { server in
            let expectations = [
                ("rebound.example.net", 421), ("localhost:3001", 200), ("x.localhost", 200),
                ("discobot.example.com", 200),
            ]
            for (host, status) in expectations {
                let answer = try await server.client.send(.get, "/api/preferences", headers: ["Host": host])
                #expect(answer.status == status, "\(host)")
            }
        }
    }
}
