// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Conversations with the agent `shell` in real sandboxes.
@Suite(.timeLimit(.minutes(10)))
struct ChatRoutesTests {
    /// A server with a workspace and an agent to talk to.
    private struct Fixture: Sendable {
        let client: TestClient
        let workspace: String
        let agent: String

        static func with(_ body: @escaping @Sendable (Fixture) async throws -> Void) async throws {
            try await TestServer.with { server in
                let path = try await server.directory.makeRepository()
                let fixture = Fixture(
                    client: server.client,
                    workspace: try await server.client.makeChatWorkspace(path),
                    agent: try await server.client.makeAgent("shell")
                )
                try await body(fixture)
                for session in try await server.client.get("/api/projects/local/sessions").json["sessions"].list {
                    try await server.client.removeSession(session["id"].string ?? "")
                }
            }
        }

        func say(_ text: String, in session: String, id: String = UUID().uuidString) async throws -> ChatAnswer {
            try await client.chat(message(text, in: session, id: id))
        }

        func message(_ text: String, in session: String, id: String = UUID().uuidString) -> String {
            TestClient.message(text, session: session, id: id, workspace: workspace, agent: agent)
        }

        func messages(of session: String) async throws -> [JSON] {
            try await client.get("/api/projects/local/sessions/\(session)/messages").json["messages"].list
        }

        func turns(of session: String) async throws -> [JSON] {
            try await client.get("/api/projects/local/chat/\(session)/turns").json["turns"].list
        }
    }

    private static let chat = "/api/projects/local/chat"

    @Test
    func `a first message makes the session, and its answer streams and stays`() async throws {
        try await Fixture.with { fixture in
            let answer = try await fixture.say("  echo hello; cat README.md; exit 3", in: "s-1")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/event-stream")
            #expect(answer.headers["x-vercel-ai-ui-message-stream"] == "v1")
            #expect(answer.isDone)
            #expect(answer.types.first == "start")
            #expect(answer.types.last == "finish")
            #expect(answer.text == "hello\nhello\n")
            let turn = try #require(answer.ids.first?.split(separator: ":").first)
            #expect(answer.ids == answer.chunks.indices.map { "\(turn):\($0 + 1)" })
            let output = answer.chunks.first { $0.type == "tool-output-available" }?.json["output"]
            #expect(output?["exitCode"].int == 3)

            let session = try await fixture.client.get("/api/projects/local/sessions/s-1").json
            #expect(session["status"].string == "ready")
            #expect(session["name"].string == "echo hello; cat README.md; exit 3")
            #expect(session["sandboxProvider"].string == "local")
            #expect(session["stages"].list.compactMap { $0["stage"].string }.contains("creating_sandbox"))
            let messages = try await fixture.messages(of: "s-1")
            #expect(messages.map { $0["role"].string } == ["user", "assistant"])
            #expect(messages[1]["metadata"]["status"].string == "completed")
            #expect(messages[1]["id"].string == answer.chunks[0].json["messageId"].string)
            #expect(messages[1]["parts"].list.contains { $0["text"].string == "hello\nhello\n" })
        }
    }

    @Test
    func `a client that comes back goes on where it was`() async throws {
        try await Fixture.with { fixture in
            let first = try await fixture.client.chat(
                fixture.message("echo one; while [ ! -e go ]; do sleep 0.01; done; echo two", in: "s-1")
            ) { $0.text.contains("one") }
            let live = try await fixture.client.resume("s-1") { $0.text.contains("one") }
            #expect(live.ids == first.ids)
            async let rest = fixture.client.resume("s-1", after: first.lastID)
            // Its own sandbox cannot be entered from here, so the workspace's next turn lets the first one end.
            _ = try await fixture.client.post("\(Self.chat)/s-1/cancel", "{}")
            let end = try await rest
            #expect(end.isDone)
            #expect(end.types.last == "abort")
            #expect(
                (first.ids + end.ids).map { $0.split(separator: ":").last.flatMap { Int($0) } ?? 0 }
                    == Array(1...(first.ids.count + end.ids.count))
            )
            let again = try await fixture.client.resume("s-1", after: first.lastID)
            #expect(again.ids == end.ids)
            #expect(try await fixture.client.resume("s-1", after: end.lastID).status == 204)
            #expect(try await fixture.client.resume("s-1").status == 204)
            #expect(try await fixture.client.resume("unknown").status == 204)
        }
    }

    @Test
    func `a message that is sent twice is answered once`() async throws {
        try await Fixture.with { fixture in
            let first = try await fixture.say("echo x >> count; wc -l < count", in: "s-1", id: "m-1")
            let second = try await fixture.say("echo x >> count; wc -l < count", in: "s-1", id: "m-1")
            #expect(first.text == "1\n")
            #expect(second.ids == first.ids)
            #expect(try await fixture.messages(of: "s-1").count == 2)
            let other = try await fixture.client.post(Self.chat, fixture.message("ls", in: "s-1", id: "m-1"))
            expectRefusal(other, 409, naming: "m-1")
            let again = fixture.message("echo x >> count; wc -l < count", in: "s-1", id: "m-1")
                .replacing(#""id":"s-1""#, with: #""trigger":"regenerate-message","id":"s-1""#)
            #expect(try await fixture.client.chat(again).text == "2\n")
        }
    }

    @Test
    func `messages wait for the one before them, can be seen and cancelled, and are at most twenty`() async throws {
        try await Fixture.with { fixture in
            try await withThrowingTaskGroup(of: ChatAnswer.self) { group in
                let block = fixture.message("echo begun; sleep 1000", in: "s-1", id: "m-0")
                _ = try await fixture.client.chat(block) { $0.text.contains("begun") }
                for index in 1..<20 {
                    let queued = fixture.message("echo \(index)", in: "s-1", id: "m-\(index)")
                    group.addTask { try await fixture.client.chat(queued) }
                    try await eventually { try await fixture.turns(of: "s-1").count > index }
                }
                let turns = try await fixture.turns(of: "s-1")
                #expect(turns.compactMap { $0["messageId"].string } == (0..<20).map { "m-\($0)" })
                #expect(turns.compactMap { $0["status"].string } == ["running"] + Array(repeating: "queued", count: 19))
                expectRefusal(
                    try await fixture.client.post(Self.chat, fixture.message("ls", in: "s-1")),
                    409,
                    naming: "20 messages"
                )
                let last = try #require(turns.last?["id"].string)
                let cancelled = try await fixture.client.post("\(Self.chat)/s-1/turns/\(last)/cancel", "{}")
                #expect(cancelled.json["completionId"].string == last)
                let running = try await fixture.client.post("\(Self.chat)/s-1/cancel", "{}")
                #expect(running.json["completionId"].string == turns[0]["id"].string)
                #expect(running.json["success"].bool == true)
                var texts: [String] = []
                for try await answer in group { texts.append(answer.types.last == "abort" ? "abort" : answer.text) }
                #expect(Set(texts) == Set((1..<19).map { "\($0)\n" } + ["abort"]))
                #expect(try await fixture.turns(of: "s-1").isEmpty)
            }
            expectRefusal(try await fixture.client.post("\(Self.chat)/s-1/cancel", "{}"), 409, naming: "no active")
        }
    }

    @Test
    func `the history has each answer behind its question, and a cancelled one in the queue does not free the session`()
        async throws
    {
        try await Fixture.with { fixture in
            let block = fixture.message("echo begun; sleep 1000", in: "s-1", id: "m-0")
            _ = try await fixture.client.chat(block) { $0.text.contains("begun") }
            async let second = fixture.say("echo second", in: "s-1", id: "m-1")
            try await eventually { try await fixture.turns(of: "s-1").count >= 2 }
            async let third = fixture.say("echo third", in: "s-1", id: "m-2")
            try await eventually { try await fixture.turns(of: "s-1").count >= 3 }
            let last = try await fixture.turns(of: "s-1").last?["id"].string ?? ""
            #expect(try await fixture.client.post("\(Self.chat)/s-1/turns/\(last)/cancel", "{}").status == 200)
            #expect(try await fixture.client.get("/api/projects/local/sessions/s-1").json["status"].string == "running")
            #expect(try await third.types == ["start", "abort"])
            #expect(try await fixture.client.post("\(Self.chat)/s-1/cancel", "{}").status == 200)
            #expect(try await second.text == "second\n")
            let texts = try await fixture.messages(of: "s-1").map { message in
                message["parts"].list.compactMap { $0["text"].string }.joined()
            }
            #expect(texts == ["echo begun; sleep 1000", "begun\n", "echo second", "second\n", "echo third"])
        }
    }

    @Test
    func `positions that no client can have are as good as none`() async throws {
        try await Fixture.with { fixture in
            let answer = try await fixture.say("echo hi", in: "s-1")
            let turn = answer.ids.first?.split(separator: ":").first ?? ""
            for position in ["9223372036854775807", "9007199254740992", "99", "-1", "x", ""] {
                #expect(try await fixture.client.resume("s-1", after: "\(turn):\(position)").status == 204)
            }
            #expect(try await fixture.client.resume("s-1", after: "\(turn):0").ids == answer.ids)
            let minimum = "/api/projects/local/events?since=-9223372036854775808"
            expectRefusal(try await fixture.client.get(minimum), 400, naming: "since")
        }
    }

    @Test
    func `refuses in the order of the contract`() async throws {
        try await Fixture.with { fixture in
            let client = fixture.client
            let part = #"{"role":"user","parts":[{"type":"text","text":"ls"}]}"#
            let cases: [(String, Int, String)] = [
                ("{", 400, "Invalid request body"),
                (#"{"id":"s-1"}"#, 400, "messages array required"),
                (#"{"id":"s-1","messages":null}"#, 400, "messages array required"),
                (#"{"id":"","messages":[\#(part)]}"#, 400, "id is required"),
                (#"{"id":"s-1","messages":[]}"#, 400, "role user"),
                (#"{"id":"s-1","messages":[{"role":"user"}]}"#, 400, "messages[0].parts"),
                (#"{"id":"s-1","messages":[{"role":"robot","parts":[]}]}"#, 400, "messages[0].role"),
                (#"{"id":"s-1","messages":[\#(part)]}"#, 400, "workspaceId and agentId are required"),
                (
                    #"{"id":"s-1","messages":[\#(part)],"workspaceId":"w","agentId":"\#(fixture.agent)"}"#, 400,
                    "workspace not found"
                ),
                (
                    #"{"id":"s-1","messages":[\#(part)],"workspaceId":"\#(fixture.workspace)","agentId":"a"}"#, 400,
                    "agent not found"
                ),
                (fixture.message("ls", in: "not/allowed"), 400, "alphanumeric"),
                (#"{"id":"s-1","mode":"Plan","messages":[\#(part)]}"#, 400, "mode"),
                (fixture.message("ls", in: "s-1", id: String(repeating: "x", count: 1025)), 400, "messages"),
                (fixture.message("ls", in: String(repeating: "x", count: 66)), 400, "65"),
            ]
            for (body, status, word) in cases {
                expectRefusal(try await client.post(Self.chat, body), status, naming: word)
            }
            #expect(try await client.get("/api/projects/local/sessions").json["sessions"].list.isEmpty)
            for (path, body) in [
                ("answer", #"{"answers":{}}"#), ("answer", #"{"toolUseID":"t"}"#),
                ("answer", #"{"toolUseID":"t","answers":[]}"#),
            ] {
                expectRefusal(try await client.post("\(Self.chat)/s-1/\(path)", body), 400)
            }
        }
    }

    @Test
    func `a session of another project is out of reach`() async throws {
        try await Fixture.with { fixture in
            let client = fixture.client
            _ = try await fixture.say("true", in: "s-1")
            let other = try await client.post("/api/projects", #"{"name":"Other"}"#).json["id"].string ?? ""
            let base = "/api/projects/\(other)"
            let message = TestClient.message("ls", session: "s-1")
            expectRefusal(try await client.post("\(base)/chat", message), 403, naming: "does not belong")
            expectRefusal(try await client.get("\(base)/chat/s-1/stream"), 403, naming: "does not belong")
            expectRefusal(try await client.post("\(base)/chat/s-1/cancel", "{}"), 403, naming: "does not belong")
            expectRefusal(try await client.get("\(base)/chat/s-1/question"), 403, naming: "does not belong")
            expectRefusal(try await client.get("\(base)/sessions/s-1/messages"), 404, naming: "not found")
            expectRefusal(try await client.get("\(base)/sessions/s-1/models"), 404, naming: "not found")
        }
    }

    @Test
    func `no question is pending for an agent that asks none`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.say("true", in: "s-1")
            let question = try await fixture.client.get("\(Self.chat)/s-1/question")
            #expect(question.text == #"{"question":null}"#)
            let answer = #"{"toolUseID":"t","answers":{"a":"b"}}"#
            expectRefusal(
                try await fixture.client.post("\(Self.chat)/s-1/answer", answer),
                404,
                naming: "no pending question"
            )
            let models = try await fixture.client.get("/api/projects/local/sessions/s-1/models")
            #expect(models.text == #"{"models":[]}"#)
        }
    }

    @Test
    func `sessions can be made before anything is said`() async throws {
        try await Fixture.with { fixture in
            let client = fixture.client
            let path = "/api/projects/local/sessions"
            let text =
                #"{"id":"s-1","workspaceId":"\#(fixture.workspace)","agentId":"\#(fixture.agent)","name":"Mine"}"#
            let created = try await client.post(path, text)
            #expect(created.status == 201)
            #expect(created.json["name"].string == "Mine")
            #expect(try await client.post(path, text).json["id"].string == "s-1")
            try await client.session("s-1", becoming: ["ready"])
            #expect(try await client.chat(TestClient.message("echo hi", session: "s-1")).text == "hi\n")
            expectRefusal(try await client.post(path, "{}"), 400, naming: "workspaceId")
            expectRefusal(try await client.post(path, #"{"workspaceId":"none"}"#), 400, naming: "workspace not found")
            let bad = #"{"id":"a b","workspaceId":"\#(fixture.workspace)"}"#
            expectRefusal(try await client.post(path, bad), 400, naming: "alphanumeric")
        }
    }

    @Test
    func `a session of a linked worktree says why it cannot be`() async throws {
        try await TestServer.with { server in
            let path = try await server.directory.makeRepository()
            let linked = server.directory.file("linked")
            try await Shell.run(#"git -C "$0" worktree add -q "$1""#, path, linked)
            let workspace = try await server.client.makeChatWorkspace(linked)
            let agent = try await server.client.makeAgent("shell")
            let message = TestClient.message("ls", session: "s-1", workspace: workspace, agent: agent)
            let answer = try await server.client.chat(message)
            #expect(answer.types == ["start", "error"])
            #expect(answer.chunks.last?.json["errorText"].string?.contains("linked worktree") == true)
            let session = try await server.client.get("/api/projects/local/sessions/s-1").json
            #expect(session["status"].string == "error")
            #expect(session["errorMessage"].string?.contains("linked worktree") == true)
            try await server.client.removeSession("s-1")
        }
    }

    @Test
    func `a session without an agent that can work says so`() async throws {
        try await Fixture.with { fixture in
            let client = fixture.client
            let agent = try await client.makeAgent("aider")
            let message = TestClient.message("hi", session: "s-1", workspace: fixture.workspace, agent: agent)
            let answer = try await client.chat(message)
            #expect(answer.isDone)
            #expect(answer.types == ["start", "error"])
            #expect(answer.chunks.last?.json["errorText"].string?.contains("aider") == true)
            let messages = try await fixture.messages(of: "s-1")
            #expect(messages.last?["metadata"]["status"].string == "failed")
        }
    }
}
