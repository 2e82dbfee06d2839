// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing
import discobot_server

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct SessionRoutesTests {
    private static let path = "/api/projects/local/sessions"
    private static let keys: Set = [
        "id", "projectId", "name", "description", "timestamp", "createdAt", "status", "files", "workspaceId", "stages",
    ]

    @Test
    func `shows a session with what it has`() async throws {
        try await TestServer.with { server in
            let client = server.client
            #expect(try await client.get(Self.path).text == #"{"sessions":[]}"#)
            let workspace = try await server.makeLocalWorkspace()
            try await server.insertSession("plain", workspace: workspace, status: .initializing)
            let plain = try await client.get("\(Self.path)/plain")
            #expect(plain.status == 200)
            #expect(plain.json.keys == Self.keys)
            #expect(plain.json["id"].string == "plain" && plain.json["projectId"].string == "local")
            #expect(plain.json["name"].string == "Prompt of plain" && plain.json["description"].string == "")
            #expect(plain.json["status"].string == "initializing")
            #expect(plain.json["files"].isList && plain.json["files"].list.isEmpty)
            #expect(plain.json["workspaceId"].string == workspace)
            #expect(plain.json["timestamp"].string?.isRFC3339 == true)
            #expect(plain.json["createdAt"].string?.isRFC3339 == true)

            let agent = try await client.post("/api/projects/local/agents", #"{"name":"A","agentType":"shell"}"#)
            let full = Session(
                id: "full",
                projectID: "local",
                workspaceID: ID(rawValue: workspace),
                agentID: agent.json["id"].string.map { ID(rawValue: $0) },
                name: "N",
                displayName: "D",
                description: "Text",
                status: .error,
                commitStatus: .failed,
                commitError: "CE",
                baseCommit: "b",
                appliedCommit: "a",
                errorMessage: "EM",
                workspacePath: "/p",
                workspaceCommit: "c",
                createdAt: Timestamp(milliseconds: 1_700_000_000_000),
                updatedAt: Timestamp(milliseconds: 1_700_000_000_001)
            )
            try await server.store.write { try $0.insert(full) }
            let all = try await client.get("\(Self.path)/full").json
            let texts = [
                "displayName": "D", "commitStatus": "failed", "commitError": "CE", "baseCommit": "b",
                "appliedCommit": "a", "errorMessage": "EM", "workspacePath": "/p", "workspaceCommit": "c",
            ]
            #expect(all.keys == Self.keys.union(texts.keys).union(["agentId"]))
            for (key, text) in texts { #expect(all[key].string == text) }
            #expect(all["agentId"] == agent.json["id"])
            #expect(all["createdAt"].string == "2023-11-14T22:13:20.000Z")
            #expect(all["timestamp"].string == "2023-11-14T22:13:20.001Z")
        }
    }

    @Test
    func `pages lists, newest first, without a gap while sessions come and go`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let workspace = try await server.makeLocalWorkspace()
            // Three at a time have the same age.
            for number in 10..<40 {
                try await server.insertSession("s-\(number)", workspace: workspace, age: Int64(1000 - number / 3 * 10))
            }
            for path in [Self.path, "/api/projects/local/workspaces/\(workspace)/sessions"] {
                var ids: [String?] = []
                var cursor = ""
                for round in 0..<10 {
                    let page = try await client.get("\(path)?limit=7\(cursor)").json
                    #expect(page["sessions"].list.count <= 7)
                    #expect(page["sessions"].list.allSatisfy { $0.keys == Self.keys })
                    ids += page["sessions"].list.map(\.["id"].string)
                    guard let next = page["nextCursor"].string else {
                        #expect(page.keys == ["sessions"])
                        break
                    }
                    cursor = "&cursor=\(next.escaped)"
                    try await server.insertSession("new-\(round)-\(path.count)", workspace: workspace)
                }
                #expect(ids.filter { $0?.hasPrefix("s-") == true }.count == 30)
                #expect(Set(ids).count == ids.count)
                let numbers = ids.compactMap { $0?.hasPrefix("s-") == true ? Int($0?.dropFirst(2) ?? "") : nil }
                #expect(numbers.map { $0 / 3 } == numbers.map { $0 / 3 }.sorted(by: >))
            }
            let whole = try await client.get(Self.path).json
            #expect(whole["sessions"].list.count > 30 && whole.keys == ["sessions"])
            let one = try await client.get("\(Self.path)?limit=1000").json
            #expect(one == whole)
        }
    }

    @Test
    func `refuses wrong limits, cursors and switches`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let workspace = try await server.makeLocalWorkspace()
            func cursor(_ text: String) -> String { Data(text.utf8).base64EncodedString().escaped }
            for path in [Self.path, "/api/projects/local/workspaces/\(workspace)/sessions"] {
                for limit in ["0", "1001", "-1", "abc", "1.5", "0x10", "99999999999999999999", "1%00"] {
                    expectRefusal(try await client.get("\(path)?limit=\(limit)"), 400, naming: "limit")
                }
                for text in ["abc", "!", "%00", "====", cursor("x"), cursor("abc:x"), cursor("9999999999999999999:x")] {
                    expectRefusal(try await client.get("\(path)?cursor=\(text)"), 400, naming: "cursor")
                }
                #expect(try await client.get("\(path)?limit=&cursor=").status == 200)
                #expect(try await client.get("\(path)?limit=1&cursor=\(cursor("-1:'"))").json["sessions"].isList)
            }
            let answer = try await client.get("/api/projects/local/workspaces/\(workspace)/sessions?includeClosed=2")
            expectRefusal(answer, 400, naming: "includeClosed")
            expectRefusal(try await client.get("/api/projects/local/workspaces/none/sessions"), 404)
        }
    }

    @Test
    func `leaves closed sessions out of a workspace's list unless asked for`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let workspace = try await server.makeLocalWorkspace()
            let states: [CommitStatus] = [.none, .pending, .committing, .completed, .failed]
            for (age, state) in states.enumerated() {
                try await server.insertSession(
                    "s-\(age)",
                    workspace: workspace,
                    commitStatus: state,
                    age: Int64(age)
                )
            }
            let path = "/api/projects/local/workspaces/\(workspace)/sessions"
            func ids(_ path: String) async throws -> [String?] {
                try await client.get(path).json["sessions"].list.map(\.["id"].string)
            }
            #expect(try await ids(path) == ["s-0", "s-1", "s-2", "s-4"])
            #expect(try await ids("\(path)?includeClosed=false") == ["s-0", "s-1", "s-2", "s-4"])
            #expect(try await ids("\(path)?includeClosed=true") == ["s-0", "s-1", "s-2", "s-3", "s-4"])
            #expect(try await ids(Self.path) == ["s-0", "s-1", "s-2", "s-3", "s-4"])
        }
    }

    @Test(arguments: [HTTPRequest.Method.put, .patch])
    func `changes the names`(method: HTTPRequest.Method) async throws {
        try await TestServer.with { server in
            let client = server.client
            try await server.insertSession("s-1", workspace: try await server.makeLocalWorkspace(), age: 60)
            let before = try await client.get("\(Self.path)/s-1").json
            func update(_ text: String) async throws -> JSON {
                let answer = try await client.send(method, "\(Self.path)/s-1", text)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(try await client.get("\(Self.path)/s-1").json == answer.json)
                return answer.json
            }
            let named = try await update(#"{"displayName":"Name","files":1,"id":"x"}"#)
            #expect(named.keys == Self.keys.union(["displayName"]))
            #expect(named["displayName"].string == "Name" && named["name"] == before["name"])
            #expect(named["createdAt"] == before["createdAt"] && named["timestamp"] != before["timestamp"])
            let news = try #require(try await client.events().last)
            #expect(news["type"].string == "session_updated" && news["data"].keys == ["sessionId", "status"])
            #expect(news["data"]["sessionId"].string == "s-1" && news["data"]["status"].string == "ready")
            #expect(try await update("{}")["displayName"].string == "Name")
            #expect(try await update(#"{"displayName":null}"#).keys == Self.keys)
            _ = try await update(#"{"displayName":"Again"}"#)
            #expect(try await update(#"{"displayName":""}"#).keys == Self.keys)
            #expect(try await update(#"{"name":"New"}"#)["name"].string == "New")
            for (text, word) in [
                (#"{"displayName":1}"#, "displayName"), (#"{"status":1}"#, "status"), (#"{"name":" "}"#, "name"),
                ("", "body"), ("[]", "body"),
            ] { expectRefusal(try await client.send(method, "\(Self.path)/s-1", text), 400, naming: word) }
            let missing = try await client.send(method, "\(Self.path)/none", #"{"displayName":"x"}"#)
            expectRefusal(missing, 404, naming: "Session not found")
        }
    }

    @Test
    func `lets clients stop a session or prepare it again, when that can follow`() async throws {
        try await TestServer.with {
            $0.isDispatcherEnabled = false
        } _: { server in
            let client = server.client
            let workspace = try await server.insertWorkspace()
            for status in SessionStatus.allCases where status != .removed {
                try await server.insertSession(status.rawValue, workspace: workspace, status: status)
                for next in SessionStatus.allCases {
                    let text = body(["status": next.rawValue, "displayName": "Not alone"])
                    let answer = try await client.put("\(Self.path)/\(status.rawValue)", text)
                    if next == .removing || next == .removed {
                        expectRefusal(answer, 400, naming: "status")
                    } else if next == status || [.stopped, .reinitializing].contains(next) && status.canBecome(next) {
                        #expect(answer.json["status"].string == next.rawValue, "\(answer.text)")
                    } else {
                        expectRefusal(answer, 409, naming: "status")
                    }
                    try await server.store.write { try $0.reset(status) }
                }
            }
            for text in ["", "Ready", "ready ", "closed", "unknown", "ready\n"] {
                let answer = try await client.put("\(Self.path)/ready", body(["status": text]))
                expectRefusal(answer, 400, naming: "status")
            }
            let refused = try await client.put("\(Self.path)/stopped", #"{"status":"ready","displayName":"None"}"#)
            expectRefusal(refused, 409)
            #expect(try await client.get("\(Self.path)/stopped").json.keys.contains("displayName") == false)
        }
    }

    @Test(arguments: [(nil, "completed"), ("mock", "completed"), ("absent", "failed")])
    func `only the provider that made its sandbox must be there to remove it`(
        maker: String?,
        end: String
    ) async throws {
        try await TestServer.with { options in
            let absence = SandboxError(.unavailable, "nobody is there")
            options.providers = [MockSandboxProvider(name: "absent", absence: absence), MockSandboxProvider()]
        } _: { server in
            let workspace = try await server.makeLocalWorkspace()
            try await server.insertSession("s-1", workspace: workspace)
            _ = try await server.store.write { transaction in
                try transaction.execute("UPDATE sessions SET sandbox_provider = \(maker)")
            }
            expectSuccess(try await server.client.delete("\(Self.path)/s-1"))
            let job = try await server.client.ended(job: "session_delete", on: "s-1")
            #expect(job["status"].string == end)
        }
    }

    @Test
    func `removes a session in the background`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let workspace = try await server.makeLocalWorkspace()
            try await server.insertSession("s-1", workspace: workspace, status: .running)
            try await server.insertSession("s-2", workspace: workspace)
            expectSuccess(try await client.delete("\(Self.path)/s-1"))
            let job = try await client.ended(job: "session_delete", on: "s-1")
            #expect(job["status"].string == "completed" && job["resourceType"].string == "session")
            expectRefusal(try await client.get("\(Self.path)/s-1"), 404, naming: "Session not found")
            expectRefusal(try await client.delete("\(Self.path)/s-1"), 404, naming: "Session not found")
            let news = try await client.events().filter { $0["data"]["sessionId"].string == "s-1" }
            #expect(news.map { $0["data"]["status"].string } == ["removing", "removed"])
            #expect(news.allSatisfy { $0["type"].string == "session_updated" })
            #expect(try await client.get(Self.path).json["sessions"].list.map(\.["id"].string) == ["s-2"])
        }
    }

    @Test
    func `takes a second removal as success, and finishes after a restart`() async throws {
        try await TemporaryDirectory.with { directory in
            let repository = try await directory.makeRepository()
            try await TestServer.with({ $0.isDispatcherEnabled = false }, in: directory) { server in
                let created = try await server.client.post("/api/projects/local/workspaces", body(["path": repository]))
                try await server.insertSession("s-1", workspace: try #require(created.json["id"].string))
                for _ in 0..<3 { expectSuccess(try await server.client.delete("\(Self.path)/s-1")) }
                let session = try await server.client.get("\(Self.path)/s-1").json
                #expect(session["status"].string == "removing")
                expectRefusal(try await server.client.put("\(Self.path)/s-1", #"{"status":"ready"}"#), 409)
                let news = try await server.client.events().filter { !$0["data"]["sessionId"].isNull }
                #expect(news.map { $0["data"]["status"].string } == ["removing"])
                let jobs = try await server.store.read { try $0.rows("SELECT id FROM jobs WHERE resource_id = 's-1'") }
                #expect(jobs.count == 1)
            }
            try await TestServer.with(in: directory) { server in
                try await server.client.ended(job: "session_delete", on: "s-1")
                expectRefusal(try await server.client.get("\(Self.path)/s-1"), 404)
            }
        }
    }

    @Test
    func `keeps the sessions of projects apart`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let project = try await client.makeProject()
            let theirs = try await server.makeLocalWorkspace("theirs", project: project)
            try await server.insertSession("mine", workspace: try await server.makeLocalWorkspace())
            try await server.insertSession("theirs", workspace: theirs, project: project)
            for (project, id) in [("local", "theirs"), (project, "mine")] {
                let path = "/api/projects/\(project)/sessions/\(id)"
                expectRefusal(try await client.get(path), 404, naming: "Session not found")
                expectRefusal(try await client.put(path, #"{"displayName":"Stolen"}"#), 404)
                expectRefusal(try await client.send(.patch, path, #"{"status":"stopped"}"#), 404)
                expectRefusal(try await client.delete(path), 404)
            }
            #expect(try await client.get(Self.path).json["sessions"].list.map(\.["id"].string) == ["mine"])
            #expect(try await client.get("\(Self.path)/mine").json["status"].string == "ready")
        }
    }
}

extension Transaction {
    /// Gives the session that is named like the status that status, and no display name.
    fileprivate func reset(_ status: SessionStatus) throws {
        try execute(
            "UPDATE sessions SET status = \(status.rawValue), display_name = NULL WHERE id = \(status.rawValue)"
        )
    }
}
