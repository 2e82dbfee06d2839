// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing
import discobot_server

@Suite(.timeLimit(.minutes(10)))
struct WorkspaceSourceRoutesTests {
    private static let project = "/api/projects/local"

    @Test
    func `says whether a path can become a workspace, without making one`() async throws {
        try await TestServer.with { server in
            let directory = server.directory
            let repository = try await directory.makeRepository()
            try directory.write("x", to: "file")
            let cases: [(String, String, String, String?)] = [
                (repository, "local", "repository", nil), ("\(repository)/./", "local", "repository", nil),
                (directory.file("new"), "local", "new", nil), (directory.file("file"), "local", "invalid", "directory"),
                (directory.path, "local", "invalid", "not a git repository"),
                ("", "local", "invalid", "Path is required"),
                (directory.file("a/b"), "local", "invalid", "parent directory does not exist"),
                ("relative", "local", "invalid", "absolute"), ("https://host/r.git", "git", "remote", nil),
                ("git@host:r.git", "git", "remote", nil), ("owner/name", "git", "remote", nil),
                ("https://a:s3cret@host/r", "git", "invalid", "credential"), ("ext::sh -c id", "git", "invalid", ""),
                ("-oProxyCommand=id", "git", "invalid", ""), ("", "git", "invalid", "Path is required"),
                ("owner/name/more", "git", "invalid", ""),
            ]
            for (path, type, classification, reason) in cases {
                let text = body(["path": path, "sourceType": type])
                let answer = try await server.client.post("\(Self.project)/workspaces/validate", text)
                #expect(answer.status == 200, "\(path): \(answer.text)")
                let keys: Set = ["path", "sourceType", "valid", "classification", "suggestions"]
                #expect(answer.json.keys == (reason == nil ? keys : keys.union(["error"])), "\(path): \(answer.text)")
                #expect(answer.json["valid"].bool == (reason == nil))
                #expect(answer.json["sourceType"].string == type)
                #expect(answer.json["classification"].string == classification, "\(path)")
                #expect(answer.json["suggestions"].isList)
                guard let reason else { continue }
                let error = try #require(answer.json["error"].string)
                #expect(!error.isEmpty && !error.contains("s3cret"))
                #expect(reason.isEmpty || error.lowercased().contains(reason.lowercased()), "\(path): \(error)")
            }
            let short = body(["path": "owner/name", "sourceType": "git"])
            let long = try await server.client.post("\(Self.project)/workspaces/validate", short)
            #expect(long.json["path"].string == "https://github.com/owner/name")
            #expect(try await server.client.get("\(Self.project)/workspaces").json["workspaces"].list.isEmpty)
            #expect(!directory.exists("new"))
        }
    }

    @Test(arguments: [
        (#"{"path":"/tmp"}"#, "sourceType"), (#"{"path":"/tmp","sourceType":"svn"}"#, "sourceType"),
        (#"{"path":"/tmp","sourceType":null}"#, "sourceType"), (#"{"path":1,"sourceType":"git"}"#, "path"),
        ("", "Invalid request body"), ("[]", "Invalid request body"),
    ])
    func `refuses to validate without a source type`(text: String, word: String) async throws {
        try await TestServer.with { server in
            let answer = try await server.client.post("\(Self.project)/workspaces/validate", text)
            expectRefusal(answer, 400, naming: word)
        }
    }

    @Test
    func `lists the sandbox providers and their states`() async throws {
        try await TestServer.with { server in
            let answer = try await server.client.get("\(Self.project)/workspaces/providers")
            #expect(answer.status == 200)
            #expect(answer.json.keys == ["providers", "default"])
            #expect(answer.json["providers"].keys == ["docker", "local"])
            #expect(["docker", "local"].contains(answer.json["default"].string))
            for name in ["docker", "local"] {
                let state = try await server.client.get("\(Self.project)/workspaces/providers/\(name)")
                #expect(state.status == 200)
                #expect(state.json == answer.json["providers"][name])
                let isAvailable = state.json["available"].bool == true
                #expect(state.json["state"].string == (isAvailable ? "ready" : "unavailable"))
                let optional: Set = isAvailable ? ["version"] : ["message", "fix"]
                #expect(state.json.keys.subtracting(["available", "state"]).isSubset(of: optional))
                #expect(isAvailable || state.json["fix"].string?.isEmpty == false)
            }
            // The fixture names a socket that is not there.
            #expect(answer.json["providers"]["docker"]["available"].bool == false)
            let none = try await server.client.get("\(Self.project)/workspaces/providers/none")
            expectRefusal(none, 404, naming: "Provider not found")
            let path = server.directory.file("new")
            let made = try await server.client.makeWorkspace(body(["path": path, "provider": "docker"]))
            #expect(made["provider"].string == "docker")
        }
    }

    @Test
    func `has one provider when the local one is switched off`() async throws {
        try await TestServer.with({ $0.isLocalProviderEnabled = false }) { server in
            let answer = try await server.client.get("\(Self.project)/workspaces/providers")
            #expect(answer.json["providers"].keys == ["docker"])
            #expect(answer.json["default"].string == "docker")
            let text = body(["path": server.directory.file("new"), "provider": "local"])
            expectRefusal(try await server.client.post("\(Self.project)/workspaces", text), 400, naming: "provider")
        }
    }

    @Test
    func `suggests nothing unless it is switched on`() async throws {
        try await TestServer.with { server in
            for query in ["", "?q=", "?q=/", "?q=~", "?q=/tmp&type=path"] {
                let answer = try await server.client.get("\(Self.project)/suggestions\(query)")
                #expect(answer.status == 200)
                #expect(answer.text == #"{"suggestions":[]}"#)
            }
        }
    }

    @Test
    func `suggests directories for a typed path`() async throws {
        try await TestServer.with({ $0.areSuggestionsEnabled = true }) { server in
            let directory = server.directory
            _ = try await directory.makeRepository("alpha")
            for name in ["beta", ".hidden", "with space ü", "alpine"] + (0..<12).map({ "n\($0)" }) {
                try FileManager.default.createDirectory(
                    atPath: directory.file(name),
                    withIntermediateDirectories: false
                )
            }
            try directory.write("x", to: "alfile")
            func suggest(_ typed: String, _ rest: String = "") async throws -> [JSON] {
                let answer = try await server.client.get("\(Self.project)/suggestions?q=\(typed.escaped)\(rest)")
                #expect(answer.status == 200 && answer.json.keys == ["suggestions"])
                let found = answer.json["suggestions"].list
                #expect(found.allSatisfy { $0.keys == ["value", "type", "valid"] && $0["type"].string == "path" })
                return found
            }
            func names(_ typed: String) async throws -> [String] {
                try await suggest(typed).compactMap { $0["value"].string?.replacing("\(directory.path)/", with: "") }
            }
            let alpha = try await suggest(directory.file("al"), "&type=path")
            #expect(alpha.map(\.["value"].string) == [directory.file("alpha"), directory.file("alpine")])
            #expect(alpha.map(\.["valid"].bool) == [true, false])
            #expect(try await names(directory.path).count == 10)
            #expect(try await names(directory.path).contains { $0.hasPrefix(".") } == false)
            #expect(try await names(directory.file("n")).count == 10)
            #expect(try await names(directory.file(".h")) == [".hidden"])
            #expect(try await names(directory.file("with")) == ["with space ü"])
            #expect(try await names(directory.file("zzz")).isEmpty)
            #expect(try await names("relative").isEmpty)
            #expect(try await names("").isEmpty)
            let home = try await suggest("~").compactMap(\.["value"].string)
            #expect(home.allSatisfy { $0.hasPrefix("~/") } && home.count <= 10)
            let same = try await suggest("~/").compactMap(\.["value"].string)
            #expect(same == home)
            expectRefusal(
                try await server.client.get("\(Self.project)/suggestions?q=/&type=host"),
                400,
                naming: "type"
            )
            expectRefusal(try await server.client.get("\(Self.project)/suggestions?q=/a%00"), 400, naming: "q")
            let text = body(["path": directory.file("al"), "sourceType": "local"])
            let validated = try await server.client.post("\(Self.project)/workspaces/validate", text)
            #expect(validated.json["suggestions"].list == alpha)
        }
    }
}
