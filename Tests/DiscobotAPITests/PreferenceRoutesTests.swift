// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotStore
import DiscobotTestSupport
import Testing

@Suite(.timeLimit(.minutes(10)))
struct PreferenceRoutesTests {
    private static let path = "/api/preferences"

    @Test
    func `stores, lists, replaces and removes preferences`() async throws {
        try await TestServer.with { server in
            let client = server.client
            #expect(try await client.get(Self.path).text == #"{"preferences":[]}"#)

            let created = try await client.put("\(Self.path)/editor.theme", #"{"value":"dark"}"#)
            #expect(created.status == 200)
            #expect(created.json.keys == ["key", "value", "updatedAt"])
            #expect(created.json["key"].string == "editor.theme")
            #expect(created.json["value"].string == "dark")
            #expect(created.json["updatedAt"].string?.isRFC3339 == true)
            #expect(try await client.get("\(Self.path)/editor.theme").json == created.json)

            #expect(try await client.put("\(Self.path)/editor.theme", #"{"value":""}"#).json["value"].string == "")
            #expect(try await client.get("\(Self.path)/editor.theme").json["value"].string == "")

            expectSuccess(try await client.delete("\(Self.path)/editor.theme"))
            expectRefusal(try await client.get("\(Self.path)/editor.theme"), 404, naming: "Preference not found")
            expectRefusal(try await client.delete("\(Self.path)/editor.theme"), 404, naming: "Preference not found")
        }
    }

    @Test
    func `sets several at once and answers with those, sorted by key`() async throws {
        try await TestServer.with { server in
            let client = server.client
            _ = try await client.put("\(Self.path)/old", #"{"value":"kept"}"#)
            let written = try await client.put(
                Self.path,
                #"{"preferences":{"b.c":"1","Z":"2","b-c":"3","ä":"4","a":"{\"x\":[]}"}}"#
            )
            #expect(written.status == 200)
            #expect(written.json.keys == ["preferences"])
            let sorted = ["Z", "a", "b-c", "b.c", "ä"]
            #expect(written.json["preferences"].list.map(\.["key"].string) == sorted)
            #expect(written.json["preferences"].list.allSatisfy { $0.keys == ["key", "value", "updatedAt"] })

            let listed = try await client.get(Self.path).json["preferences"].list
            #expect(listed.map(\.["key"].string) == ["Z", "a", "b-c", "b.c", "old", "ä"])
            #expect(try await client.get("\(Self.path)/a").json["value"].string == #"{"x":[]}"#)
            #expect(try await client.put(Self.path, #"{"preferences":{}}"#).text == #"{"preferences":[]}"#)
            #expect(try await client.get(Self.path).json["preferences"].list.count == 6)
        }
    }

    @Test
    func `stores all of several or none`() async throws {
        try await TestServer.with { server in
            let refused = try await server.client.put(Self.path, #"{"preferences":{"fine":"1","":"2"}}"#)
            expectRefusal(refused, 400, naming: "Key is required")
            let wrong = try await server.client.put(Self.path, #"{"preferences":{"fine":"1","wrong":2}}"#)
            expectRefusal(wrong, 400, naming: "wrong")
            #expect(try await server.client.get(Self.path).json["preferences"].list.isEmpty)
        }
    }

    @Test(arguments: [
        ("/api/preferences/a", "{}", "value"),
        ("/api/preferences/a", #"{"value":null}"#, "value"),
        ("/api/preferences/a", #"{"value":5}"#, "value"),
        ("/api/preferences/a", #"{"value":{}}"#, "value"),
        ("/api/preferences/a", "[]", "Invalid request body"),
        ("/api/preferences/a", #""text""#, "Invalid request body"),
        ("/api/preferences", "{}", "preferences"),
        ("/api/preferences", #"{"preferences":[]}"#, "preferences"),
        ("/api/preferences", #"{"preferences":{"a":null}}"#, "preferences.a"),
        ("/api/preferences", #"{"preferences":null}"#, "preferences"),
    ])
    func `refuses wrong values and names the field`(path: String, body: String, word: String) async throws {
        try await TestServer.with { server in
            expectRefusal(try await server.client.put(path, body), 400, naming: word)
            #expect(try await server.client.get(Self.path).json["preferences"].list.isEmpty)
        }
    }

    @Test
    func `takes any text as value`() async throws {
        try await TestServer.with { server in
            let large = String(repeating: #"{"layout":["ü"]},"#, count: 40_000)
            for value in ["line\nbreak \"quotes\" \\ \u{1} 💡 e\u{301}", "a\u{FEFF}", "\u{2028}", "\\u0000", large] {
                let stored = try await server.client.put("\(Self.path)/text", body(["value": value]))
                #expect(stored.status == 200, "\(stored.text.prefix(200))")
                let found = try await server.client.get("\(Self.path)/text").json["value"].string
                #expect(found.map { Array($0.utf8) } == Array(value.utf8))
            }
        }
    }

    @Test
    func `keeps one row when many write the same key at once`() async throws {
        try await TestServer.with { server in
            let client = server.client
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<30 {
                    group.addTask { try await client.put("\(Self.path)/shared", #"{"value":"\#(number)"}"#).status }
                }
                for try await status in group { #expect(status == 200) }
            }
            #expect(try await client.get(Self.path).json["preferences"].list.count == 1)
        }
    }

    @Test
    func `shows nobody the preferences of others`() async throws {
        try await TestServer.with { server in
            let other = User(id: "other", email: "other@localhost", name: nil, avatarURL: nil, provider: "local")
            try await server.store.write { transaction in
                try transaction.seed(other, providerID: "other")
                try transaction.put(Preference(key: "secret", value: "1", updatedAt: .now), of: other.id)
            }
            #expect(try await server.client.get(Self.path).json["preferences"].list.isEmpty)
            expectRefusal(try await server.client.get("\(Self.path)/secret"), 404)
            expectRefusal(try await server.client.delete("\(Self.path)/secret"), 404)
            #expect(try await server.store.read { try $0.preference("secret", of: other.id) } != nil)
        }
    }

    @Test
    func `decodes what is percent-encoded in paths`() async throws {
        try await TestServer.with { server in
            let client = server.client
            for key in ["with space", "a/b", "ключ", "💡", "100%", "..", "a+b", "q?x=1#y", "'; DROP TABLE users; --"] {
                let value = "line\nbreak \"quotes\" \\ \u{1} 💡 \(key)"
                let path = "/api/preferences/\(key.escaped)"
                let stored = try await client.put(path, body(["value": value]))
                #expect(stored.status == 200, "\(key): \(stored.text)")
                #expect(stored.json["key"].string == key)
                let found = try await client.get(path)
                #expect(found.json["value"].string == value, "\(key): \(found.text)")
                expectSuccess(try await client.delete(path))
            }
        }
    }
}
