// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing
import discobot_server

@testable import DiscobotStore

@Suite(.timeLimit(.minutes(10)))
struct EventRoutesTests {
    private static let path = "/api/projects/local/events"

    @Test
    func `greets, then sends what happens from now on`() async throws {
        try await TestServer.with { server in
            try await server.append(5)
            var types: [String] = []
            let event = try await server.client.follow(Self.path) { event -> TestClient.StreamedEvent? in
                types.append(event.type)
                guard event.type == "connected" else { return event }
                #expect(event.data.keys == ["projectId"] && event.data["projectId"].string == "local")
                #expect(event.id == nil)
                try await server.append(1)
                return nil
            }
            #expect(types == ["connected", "session_updated"])
            #expect(event.data.keys == ["id", "seq", "type", "timestamp", "data"])
            #expect(event.id == event.data["id"].string)
            #expect(event.data["seq"].int == 6)
            #expect(event.data["type"].string == "session_updated")
            #expect(event.data["timestamp"].string?.isRFC3339 == true)
            #expect(event.data["data"].keys == ["sessionId", "status"])
        }
    }

    @Test
    func `streams as proxies and browsers need it, and ends with the server`() async throws {
        let connection = try await TestServer.with { server in
            let connection = try RawConnection(port: server.client.port)
            connection.send("GET \(Self.path)?since=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            let head = await connection.read(until: "event: connected\n").lowercased()
            #expect(head.hasPrefix("http/1.1 200 ok\r\n"))
            #expect(head.contains("\r\ncontent-type: text/event-stream\r\n"))
            #expect(head.contains("\r\ncache-control: no-cache\r\n"))
            #expect(head.contains("\r\nx-accel-buffering: no\r\n"))
            #expect(head.contains("\r\nx-request-id: "))
            #expect(!head.contains("\r\ncontent-length: "))
            return connection
        }
        defer { connection.close() }
        #expect(await connection.readToEnd() != nil, "the stream is left open")
    }

    @Test
    func `begins where the client says`() async throws {
        try await TestServer.with { server in
            try await server.append(6, apart: 1000)
            let events = try await server.client.events()
            let ids = events.compactMap(\.["id"].string)
            try #require(ids.count == 6)
            func received(_ query: String, _ headers: [String: String] = [:]) async throws -> [Int] {
                try await server.received("\(Self.path)\(query)", headers: headers, through: 6)
            }
            let time = try #require(events[3]["timestamp"].string).escaped
            #expect(try await received("?after=\(ids[2])") == [4, 5, 6])
            #expect(try await received("", ["Last-Event-ID": ids[3]]) == [5, 6])
            #expect(try await received("?since=\(time)") == [4, 5, 6])
            #expect(try await received("?since=0") == [1, 2, 3, 4, 5, 6])
            #expect(try await received("?since=1970-01-01T00:00:00Z") == [1, 2, 3, 4, 5, 6])
            #expect(try await received("?since=1970-01-01T00:00:00.5%2B01:00") == [1, 2, 3, 4, 5, 6])
            #expect(try await received("?after=\(ids[1])&since=\(time)", ["Last-Event-ID": ids[4]]) == [3, 4, 5, 6])
            #expect(try await received("?since=\(time)", ["Last-Event-ID": ids[4]]) == [6])
            for text in ["yesterday", "2026-13-01T00:00:00Z", "1e9", "99999999999999999999", "2026-01-01", "%00"] {
                expectRefusal(try await server.client.get("\(Self.path)?since=\(text)"), 400, naming: "since")
            }
        }
    }

    @Test(arguments: ["none", "7", "99999999999999999999", "-1", "1.0", "00000000-0000-4000-8000-000000000000"])
    func `starts over for an id it does not know, and says so`(id: String) async throws {
        try await TestServer.with { server in
            try await server.append(3)
            for (query, headers) in [("?after=\(id)", [:]), ("", ["Last-Event-ID": id])] {
                var types: [String] = []
                let last = try await server.client.follow("\(Self.path)\(query)", headers: headers) { event -> Int? in
                    types.append(event.type)
                    return event.data["seq"].int == 3 ? 3 : nil
                }
                #expect(last == 3)
                #expect(types == ["connected", "reset"] + Array(repeating: "session_updated", count: 3))
            }
        }
    }

    @Test
    func `tells readers that come back too late what they have lost`() async throws {
        try await TestServer.with { server in
            try await server.append(Int(retainedEventCount) + 600)
            let first = try await server.client.send(
                .get,
                "\(Self.path)?limit=1",
                headers: ["Accept": "application/json"]
            )
            let oldest = try #require(first.json["events"][0]["seq"].int)
            #expect(oldest > 1 && oldest <= 601)
            var types: [String] = []
            let seen = try await server.client.follow("\(Self.path)?after=1") { event -> Int? in
                types.append(event.type)
                return event.data["seq"].int
            }
            #expect(types == ["connected", "reset", "session_updated"])
            #expect(seen == oldest)
            var kept: [String] = []
            _ = try await server.client.follow("\(Self.path)?after=\(oldest)") { event -> Bool? in
                kept.append(event.type)
                return event.data["seq"].int == oldest + 1 ? true : nil
            }
            #expect(kept == ["connected", "session_updated"])
        }
    }

    @Test
    func `sends each of many events once and in order, to every reader`() async throws {
        try await TestServer.with { server in
            let client = server.client
            let workspace = try await server.makeLocalWorkspace()
            try await server.insertSession("s-1", workspace: workspace)
            let before = try await client.events().count
            let last = before + 200
            try await withThrowingTaskGroup(of: [Int].self) { group in
                for query in ["?since=0", "?after=\(before)", "?since=0", "?after=1"] {
                    group.addTask { try await server.received("\(Self.path)\(query)", through: last) }
                }
                for worker in 0..<10 {
                    group.addTask {
                        func update(_ numbers: Range<Int>) async throws {
                            for number in numbers {
                                let text = #"{"displayName":"\#(worker) \#(number)"}"#
                                let answer = try await client.put("/api/projects/local/sessions/s-1", text)
                                #expect(answer.status == 200)
                            }
                        }
                        try await update(0..<10)
                        // Two more readers come while others write; the client has only eight connections to a host.
                        async let late = worker < 2 ? server.received("\(Self.path)?after=2", through: last) : []
                        try await update(10..<20)
                        let numbers = try await late
                        #expect(numbers == (worker < 2 ? Array(3...last) : []))
                        return []
                    }
                }
                for try await numbers in group where !numbers.isEmpty {
                    #expect(numbers == Array((numbers.first ?? 0)...last))
                    #expect([1, 2, before + 1].contains(numbers[0]))
                }
            }
            #expect(try await client.events().compactMap(\.["seq"].int) == Array(1...last))
        }
    }

    @Test
    func `lists events as JSON in pages`() async throws {
        try await TestServer.with { server in
            let client = server.client
            func list(_ query: String) async throws -> TestClient.Answer {
                try await client.send(.get, "\(Self.path)?\(query)", headers: ["Accept": "application/json"])
            }
            #expect(try await list("").text == #"{"events":[]}"#)
            try await server.append(250)
            let standard = try await list("").json
            #expect(standard.keys == ["events", "nextCursor"])
            #expect(standard["events"].list.count == 100)
            #expect(standard["events"].list.allSatisfy { $0.keys == ["id", "seq", "type", "timestamp", "data"] })
            #expect(standard["events"][0]["data"].keys == ["sessionId", "status"])
            var numbers: [Int] = []
            var cursor = ""
            for _ in 0..<10 {
                let page = try await list("limit=60\(cursor)").json
                numbers += page["events"].list.compactMap(\.["seq"].int)
                guard let next = page["nextCursor"].string else { break }
                cursor = "&cursor=\(next.escaped)"
                try await server.append(1)
            }
            #expect(numbers == Array(1...254))
            #expect(try await list("limit=250").json.keys == ["events", "nextCursor"])
            #expect(try await list("limit=254").json.keys == ["events"])
            #expect(try await list("after=252").json["events"].list.compactMap(\.["seq"].int) == [253, 254])
            for limit in ["0", "1001", "abc"] {
                expectRefusal(try await list("limit=\(limit)"), 400, naming: "limit")
            }
            expectRefusal(try await list("since=yesterday"), 400, naming: "since")
            let accept = ["Accept": "application/json, text/event-stream"]
            let isStream = try await client.follow(Self.path, headers: accept) { $0.type == "connected" }
            #expect(isStream)
        }
    }

    @Test
    func `keeps the news of projects apart`() async throws {
        try await TestServer.with { server in
            let project = try await server.client.makeProject()
            try await server.append(3)
            try await server.append(2, to: ID(rawValue: project))
            let theirs = try await server.client.events(of: project)
            #expect(theirs.compactMap(\.["seq"].int) == [1, 2])
            #expect(theirs.allSatisfy { $0["data"]["sessionId"].string == project })
            var seen: [String?] = []
            _ = try await server.client.follow("/api/projects/\(project)/events?since=0") { event -> Bool? in
                if event.type == "connected" {
                    try await server.append(300)
                    try await server.append(1, to: ID(rawValue: project))
                    return nil
                }
                seen.append(event.data["data"]["sessionId"].string)
                return event.data["seq"].int == 3 ? true : nil
            }
            #expect(seen == [project, project, project])
            expectRefusal(try await server.client.get("/api/projects/none/events"), 403)
        }
    }

    @Test
    func `sends no comments between news`() async throws {
        try await TestServer.with({ $0.keepAliveInterval = .seconds(3600) }) { server in
            let request = "GET \(Self.path) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            let connections = try (0..<5).map { _ in try RawConnection(port: server.client.port) }
            defer { for connection in connections { connection.close() } }
            for connection in connections {
                // Each new reader has the log looked at, which is no news for the others.
                connection.send(request)
                #expect(await connection.read(until: "connected").contains("connected"))
            }
            try await server.append(3)
            for connection in connections {
                let text = await connection.read(until: #""seq":3"#)
                #expect(text.contains(#""seq":3"#))
                #expect(text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix(":") }.isEmpty)
            }
        }
    }

    @Test
    func `a reader that does not read holds nobody up and gets all in the end`() async throws {
        try await TestServer.with { server in
            let idle = try RawConnection(port: server.client.port)
            defer { idle.close() }
            idle.send("GET \(Self.path)?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async let numbers = server.received("\(Self.path)?after=0", through: 9000)
            // More than the sockets of the connection hold.
            for _ in 0..<90 { try await server.append(100) }
            #expect(try await numbers == Array(1...9000))
            let text = await idle.read(until: #""seq":9000,"#)
            let lines = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("id: ") }
            #expect(lines.compactMap { Int($0.dropFirst(4)) } == Array(1...9000))
        }
    }

    @Test
    func `survives readers that leave`() async throws {
        try await TestServer.with { server in
            for round in 0..<40 {
                let connection = try RawConnection(port: server.client.port)
                connection.send("GET \(Self.path)?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if round % 2 == 0 { _ = await connection.read(until: "connected") }
                connection.close()
                try await server.append(20)
            }
            #expect(try await server.received("\(Self.path)?since=0", through: 800) == Array(1...800))
        }
    }
}

extension TestServer {
    /// Stores this many events, `gap` milliseconds apart when that is given.
    fileprivate func append(_ count: Int, to project: ID<Project> = "local", apart gap: Int64 = 0) async throws {
        try await store.write { transaction in
            for _ in 0..<count {
                try transaction.append(.sessionUpdated(ID(rawValue: project.rawValue), .ready), to: project)
            }
            guard gap > 0 else { return }
            try transaction.execute(
                "UPDATE project_events SET created_at = created_at + sequence * \(gap) WHERE project_id = \(project)"
            )
        }
    }

    /// The numbers of the events that a stream sends up to the one with the number `last`.
    fileprivate func received(_ path: String, headers: [String: String] = [:], through last: Int) async throws -> [Int]
    {
        var numbers: [Int] = []
        _ = try await client.follow(path, headers: headers) { event -> Bool? in
            guard let number = event.data["seq"].int else { return nil }
            numbers.append(number)
            return number >= last ? true : nil
        }
        return numbers
    }
}
