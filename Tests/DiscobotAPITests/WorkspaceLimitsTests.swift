// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Testing

/// What the sandboxes of a workspace may use.
@Suite(.timeLimit(.minutes(10)))
struct WorkspaceLimitsTests {
    private static let path = "/api/projects/local/workspaces"

    @Test
    func `limits are kept, replaced as a whole and taken back`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let path = try await server.directory.makeRepository()
            let workspace = try await client.makeWorkspace(
                #"{"path":"\#(path)","limits":{"memoryMb":512,"cpus":0.5,"processes":0}}"#
            )
            #expect(workspace["limits"].keys == ["memoryMb", "cpus", "processes"])
            #expect(workspace["limits"]["memoryMb"].int == 512)
            #expect(workspace["limits"]["cpus"].description == "0.5")
            #expect(workspace["limits"]["processes"].int == 0)
            let one = "\(Self.path)/\(workspace["id"].string ?? "")"
            let renamed = try await client.put(one, #"{"displayName":"Name"}"#)
            #expect(renamed.json["limits"]["memoryMb"].int == 512)
            let other = #"{"limits":{"shmMb":64,"fileMb":10,"diskMb":1000}}"#
            #expect(try await client.put(one, other).json["limits"].keys == ["shmMb", "fileMb", "diskMb"])
            #expect(try await client.get(one).json["limits"]["diskMb"].int == 1000)
            #expect(try await client.put(one, #"{"limits":null}"#).json["limits"].keys == [])
            #expect(try await client.get(Self.path).json["workspaces"][0]["limits"].keys == [])
        }
    }

    @Test(arguments: [
        (#"{"memoryMb":63}"#, "limits.memoryMb must be 0 for no limit, or from 64"), (#"{"memoryMb":-1}"#, "memoryMb"),
        (#"{"memoryMb":"1g"}"#, "limits.memoryMb"), (#"{"cpus":-0.5}"#, "limits.cpus"),
        (#"{"cpus":5000}"#, "limits.cpus"),
        (#"{"processes":15}"#, "limits.processes"), (#"{"fileMb":-1}"#, "limits.fileMb"),
        (#"{"shmMb":0}"#, "limits.shmMb"), (#"{"diskMb":1}"#, "limits.diskMb"), (#"{"memory":1}"#, "no field memory"),
        ("[]", "limits"), ("5", "limits"),
    ])
    func `a limit that cannot be is refused by its name`(limits: String, word: String) async throws {
        try await TestServer.with { server in
            let client = server.client
            let path = try await server.directory.makeRepository()
            let body = #"{"path":"\#(path)","limits":\#(limits)}"#
            expectRefusal(try await client.post(Self.path, body), 400, naming: word)
            let workspace = try await client.makeWorkspace(#"{"path":"\#(path)"}"#)
            let one = "\(Self.path)/\(workspace["id"].string ?? "")"
            expectRefusal(try await client.put(one, #"{"limits":\#(limits)}"#), 400, naming: word)
            #expect(try await client.get(one).json["limits"].keys == [])
        }
    }
}
