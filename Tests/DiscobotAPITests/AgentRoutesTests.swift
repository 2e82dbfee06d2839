// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Testing

@Suite(.timeLimit(.minutes(10)))
struct AgentRoutesTests {
    private static let path = "/api/projects/local/agents"
    private static let keys: Set = ["id", "name", "description", "agentType", "mcpServers", "isDefault"]

    @Test
    func `creates, lists, changes and removes agents`() async throws {
        try await TestServer.with { server in
            let client = server.client
            #expect(try await client.get(Self.path).text == #"{"agents":[]}"#)
            let created = try await client.post(Self.path, #"{"name":"First","agentType":"claude-code"}"#)
            #expect(created.status == 201)
            #expect(created.json.keys == Self.keys)
            #expect(created.json["name"].string == "First")
            #expect(created.json["description"].string == "")
            #expect(created.json["agentType"].string == "claude-code")
            #expect(created.json["mcpServers"].isList)
            let id = try #require(created.json["id"].string)
            #expect(id.isUUID)
            #expect(try await client.get("\(Self.path)/\(id)").json == created.json)
            #expect(try await client.get(Self.path).json["agents"][0] == created.json)

            let changed = try await client.put(
                "\(Self.path)/\(id)",
                #"{"name":"Second","description":"Text","systemPrompt":"Be kind","agentType":"shell"}"#
            )
            #expect(changed.status == 200)
            #expect(changed.json.keys == Self.keys.union(["systemPrompt"]))
            #expect(changed.json["name"].string == "Second")
            #expect(changed.json["description"].string == "Text")
            #expect(changed.json["systemPrompt"].string == "Be kind")
            #expect(changed.json["agentType"].string == "claude-code")
            let named = try await client.put(
                "\(Self.path)/\(id)",
                #"{"name":"Third","description":"","systemPrompt":""}"#
            )
            #expect(named.json["description"].string == "Text")
            #expect(named.json["systemPrompt"].string == "Be kind")
            #expect(try await client.get("\(Self.path)/\(id)").json == named.json)

            expectSuccess(try await client.delete("\(Self.path)/\(id)"))
            expectRefusal(try await client.get("\(Self.path)/\(id)"), 404, naming: "Agent not found")
            expectRefusal(try await client.delete("\(Self.path)/\(id)"), 404, naming: "Agent not found")
            let late = try await client.put("\(Self.path)/\(id)", #"{"name":"Late"}"#)
            expectRefusal(late, 404, naming: "Agent not found")
        }
    }

    @Test
    func `has exactly one default, the first unless another is chosen`() async throws {
        try await TestServer.with { server in
            let client = server.client
            func defaults(_ project: String = "local") async throws -> [String?] {
                try await client.get("/api/projects/\(project)/agents").json["agents"].list
                    .filter { $0["isDefault"].bool == true }.map(\.["name"].string)
            }
            var ids: [String] = []
            for name in ["A", "B", "C"] {
                let agent = try await client.post(Self.path, #"{"name":"\#(name)","agentType":"shell"}"#).json
                #expect(agent["isDefault"].bool == (name == "A"))
                ids.append(try #require(agent["id"].string))
            }
            #expect(try await defaults() == ["A"])
            expectSuccess(try await client.post("\(Self.path)/default", body(["agentId": ids[2]])))
            #expect(try await defaults() == ["C"])
            expectSuccess(try await client.post("\(Self.path)/default", body(["agentId": ids[2]])))
            _ = try await client.put("\(Self.path)/\(ids[2])", #"{"name":"D"}"#)
            #expect(try await defaults() == ["D"])

            let other = try await client.makeProject()
            let theirs = try await client.post("/api/projects/\(other)/agents", #"{"name":"T","agentType":"shell"}"#)
            #expect(theirs.json["isDefault"].bool == true)
            #expect(try await defaults() == ["D"])
            let foreign = body(["agentId": theirs.json["id"].string])
            expectRefusal(try await client.post("\(Self.path)/default", foreign), 404, naming: "Agent not found")
            expectRefusal(try await client.post("\(Self.path)/default", #"{"agentId":"none"}"#), 404)
            for text in ["{}", #"{"agentId":""}"#, #"{"agentId":null}"#] {
                expectRefusal(
                    try await client.post("\(Self.path)/default", text),
                    400,
                    naming: "Agent ID is required"
                )
            }
            expectRefusal(try await client.post("\(Self.path)/default", #"{"agentId":1}"#), 400, naming: "agentId")
            #expect(try await defaults() == ["D"])
        }
    }

    @Test
    func `has one default when many are created at once`() async throws {
        try await TestServer.with { server in
            let client = server.client
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        try await client.post(Self.path, #"{"name":"\#(number)","agentType":"shell"}"#).status
                    }
                }
                for try await status in group { #expect(status == 201) }
            }
            let agents = try await client.get(Self.path).json["agents"].list
            #expect(agents.count == 12)
            #expect(agents.filter { $0["isDefault"].bool == true }.count == 1)
        }
    }

    @Test
    func `stores tool servers and replaces them as a whole`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let created = try await client.post(
                Self.path,
                #"""
                {"name":"A","agentType":"shell","mcpServers":[
                    {"id":"mine","name":"files","config":{"type":"stdio","command":"run","args":["-v",""],
                        "env":{"KEY":"value"}}},
                    {"name":"web","config":{"type":"http","url":"https://host/mcp","headers":{"X-A":"b"}},
                        "enabled":false}]}
                """#
            )
            #expect(created.status == 201, "\(created.text)")
            let (first, second) = (created.json["mcpServers"][0], created.json["mcpServers"][1])
            #expect(first.keys == ["id", "name", "config", "enabled"])
            #expect(first["id"].string?.isUUID == true)
            #expect(first["name"].string == "files")
            #expect(first["enabled"].bool == true)
            #expect(first["config"].keys == ["type", "command", "args", "env"])
            #expect(first["config"]["args"].list.map(\.string) == ["-v", ""])
            #expect(first["config"]["env"]["KEY"].string == "value")
            #expect(second["enabled"].bool == false)
            #expect(second["config"].keys == ["type", "url", "headers"])
            #expect(second["config"]["headers"]["X-A"].string == "b")
            let path = "\(Self.path)/\(try #require(created.json["id"].string))"
            #expect(try await client.get(path).json == created.json)

            let renamed = try await client.put(path, #"{"name":"B"}"#)
            #expect(renamed.json["mcpServers"] == created.json["mcpServers"])
            let replaced = try await client.put(
                path,
                #"{"name":"B","mcpServers":[{"name":"new","config":{"type":"stdio","command":"x"}}]}"#
            )
            #expect(replaced.json["mcpServers"].list.map(\.["name"].string) == ["new"])
            #expect(try await client.get(path).json == replaced.json)
            let emptied = try await client.put(path, #"{"name":"B","mcpServers":[]}"#)
            #expect(emptied.json["mcpServers"].isList && emptied.json["mcpServers"].list.isEmpty)
        }
    }

    @Test(arguments: [
        (#"{"agentType":"shell"}"#, "Name is required"),
        (#"{"name":"  ","agentType":"shell"}"#, "Name is required"),
        (#"{"name":3,"agentType":"shell"}"#, "name"),
        (#"{"name":"A"}"#, "Agent type is required"),
        (#"{"name":"A","agentType":""}"#, "Agent type is required"),
        (#"{"name":"A","agentType":"nobody"}"#, "agentType"),
        (#"{"name":"A","agentType":"shell","description":[]}"#, "description"),
        (#"{"name":"A","agentType":"shell","mcpServers":{}}"#, "mcpServers"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{}]}"#, "mcpServers[0].name"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{"name":"x"}]}"#, "mcpServers[0].config"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{"name":"x","config":{}}]}"#, "mcpServers[0].config.type"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{"name":"x","config":{"type":"tcp"}}]}"#, "config.type"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{"name":"x","config":{"type":"stdio"}}]}"#, "config.command"),
        (#"{"name":"A","agentType":"shell","mcpServers":[{"name":"x","config":{"type":"http"}}]}"#, "config.url"),
        (
            #"{"name":"A","agentType":"shell","mcpServers":[{"name":"","config":{"type":"stdio","command":"x"}}]}"#,
            "mcpServers[0].name"
        ),
        (
            #"""
            {"name":"A","agentType":"shell","mcpServers":[{"name":"x","config":{"type":"stdio","command":"x"}},
            {"name":"x","config":{"type":"stdio","command":"x","args":[1]}}]}
            """#, "mcpServers[1].config.args[0]"
        ),
    ])
    func `refuses wrong agents and names the field`(text: String, word: String) async throws {
        try await TestServer.with { server in
            expectRefusal(try await server.client.post(Self.path, text), 400, naming: word)
            #expect(try await server.client.get(Self.path).json["agents"].list.isEmpty)
        }
    }

    @Test
    func `leaves an agent as it is when a change is refused`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let agent = try await client.post(Self.path, #"{"name":"A","agentType":"shell"}"#).json
            let path = "\(Self.path)/\(try #require(agent["id"].string))"
            for text in ["{}", #"{"name":""}"#, #"{"name":"B","mcpServers":[{"name":"x","config":{"type":"http"}}]}"#] {
                expectRefusal(try await client.put(path, text), 400)
            }
            #expect(try await client.get(path).json == agent)

            let other = "/api/projects/\(try await client.makeProject())/agents/\(agent["id"].string ?? "")"
            expectRefusal(try await client.get(other), 404, naming: "Agent not found")
            expectRefusal(try await client.put(other, #"{"name":"Stolen"}"#), 404, naming: "Agent not found")
            expectRefusal(try await client.delete(other), 404, naming: "Agent not found")
            #expect(try await client.get(path).json == agent)
        }
    }

    @Test
    func `leaves sessions without an agent when it is removed`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let agent = try await client.post(Self.path, #"{"name":"A","agentType":"shell"}"#).json["id"].string
            let id = try #require(agent)
            try await server.insertSession("s-1", workspace: try await server.makeLocalWorkspace(), agent: id)
            #expect(try await client.get("/api/projects/local/sessions/s-1").json["agentId"].string == id)
            expectSuccess(try await client.delete("\(Self.path)/\(id)"))
            let session = try await client.get("/api/projects/local/sessions/s-1")
            #expect(session.status == 200)
            #expect(!session.json.keys.contains("agentId"))
        }
    }

    @Test
    func `lists what agents can be and whose keys they use`() async throws {
        try await TestServer.with { server in
            let types = try await server.client.get("\(Self.path)/types").json["agentTypes"].list
            let required: Set = ["id", "name", "description", "icons", "badges", "supportedAuthProviders"]
            let optional: Set = ["highlighted", "highlightedAuthProviders", "allowNoAuth"]
            #expect(types.allSatisfy { required.isSubset(of: $0.keys) })
            #expect(types.allSatisfy { $0.keys.subtracting(required).isSubset(of: optional) })
            #expect(types.allSatisfy { $0["icons"].isList && $0["badges"].isList })
            let ids = types.compactMap(\.["id"].string)
            let original = [
                "claude-code", "opencode", "gemini-cli", "aider", "continue", "cursor-agent", "codex", "copilot-cli",
            ]
            #expect(ids == original + ["shell"])
            #expect(types[0]["badges"][0].keys == ["label", "className"])
            #expect(types[0]["highlighted"].bool == true)
            #expect(types[1]["supportedAuthProviders"].list.map(\.string) == ["*"])
            #expect(types[1]["allowNoAuth"].bool == true)

            let providers = try await server.client.get("\(Self.path)/auth-providers").json["authProviders"].list
            #expect(providers.allSatisfy { $0.keys == ["id", "name", "description", "icons", "env"] })
            #expect(providers.allSatisfy { $0["icons"].isList && !$0["env"].list.isEmpty })
            let names = providers.compactMap(\.["name"].string)
            #expect(names == names.sorted { $0.lowercased() < $1.lowercased() })
            let known = Set(providers.map(\.["id"].string))
            let used = types.flatMap { $0["supportedAuthProviders"].list.map(\.string) }.filter { $0 != "*" }
            #expect(Set(used).isSubset(of: known))
            let codex = providers.first { $0["id"].string == "codex" }
            #expect(codex?["env"].list.map(\.string) == ["CODEX_API_KEY"])
        }
    }

    @Test
    func `has another default agent when the default one is removed`() async throws {
        try await TestServer.with { server in
            let path = "/api/projects/local/agents"
            for name in ["A", "B", "C"] {
                _ = try await server.client.post(path, #"{"name":"\#(name)","agentType":"shell"}"#)
            }
            let first = try #require(try await server.client.get(path).json["agents"][0]["id"].string)
            expectSuccess(try await server.client.delete("\(path)/\(first)"))
            let left = try await server.client.get(path).json["agents"].list
            #expect(left.filter { $0["isDefault"].bool == true }.count == 1, "\(left)")
        }
    }

    @Test
    func `refuses a tool server with a field that would not be kept`() async throws {
        try await TestServer.with { server in
            let config = #"{"type":"stdio","command":"run","timeout":5}"#
            let servers = #"[{"name":"a","config":{"type":"stdio","command":"x"}},{"name":"b","config":\#(config)}]"#
            let refused = "mcpServers[1].config.timeout is not a known field"
            let create = #"{"name":"A","agentType":"shell","mcpServers":\#(servers)}"#
            expectRefusal(try await server.client.post(Self.path, create), 400, naming: refused)
            let agent = try await server.client.post(Self.path, #"{"name":"A","agentType":"shell"}"#).json
            let change = #"{"name":"A","mcpServers":\#(servers)}"#
            let path = "\(Self.path)/\(agent["id"].string ?? "")"
            expectRefusal(try await server.client.put(path, change), 400, naming: refused)
            #expect(try await server.client.get(path).json == agent)
        }
    }
}
