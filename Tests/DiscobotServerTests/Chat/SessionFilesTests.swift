// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Files of a session, over the server.
@Suite(.timeLimit(.minutes(10)))
struct SessionFilesTests {
    @Test(arguments: ["files", "services"])
    func `a session whose files or services are looked at is not idle`(part: String) async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk("true", in: session)
            let path = "/api/projects/local/sessions/\(session)"
            try await eventually { try await fixture.client.get(path).json["status"].string == "ready" }
            let before = try await fixture.client.get(path).json["timestamp"].string
            #expect(try await fixture.client.get("\(path)/\(part)").status == 200)
            let after = try await fixture.client.get(path).json["timestamp"].string
            #expect(before != nil && after != before)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `files of the sandbox are seen and edited, also when it has to be started`(
        provider: SessionProvider
    ) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk("mkdir made; echo agent > made/file; echo changed > README.md", in: session)
            let client = fixture.client
            let path = "/api/projects/local/sessions/\(session)"
            let listing = try await client.get("\(path)/files").json
            #expect(listing["path"].string == ".")
            #expect(listing["entries"].list.map { $0["name"].string } == ["made", "README.md"])
            #expect(listing["entries"].list.map { $0["type"].string } == ["directory", "file"])
            let read = try await client.get("\(path)/files/read?path=made/file")
            #expect(read.json["content"].string == "agent\n")
            #expect(read.json["encoding"].string == "utf8")
            let base = try await client.get("\(path)/files/read?path=README.md&fromBase=true")
            #expect(base.json["content"].string != "changed\n")
            #expect(base.status == 200)
            #expect(try await client.put(path, #"{"status":"stopped"}"#).status == 200)
            try await eventually { fixture.leftRuntimes(of: session).isEmpty }
            let written = try await client.put("\(path)/files/write", #"{"path":"made/by/user","content":"hello"}"#)
            #expect(written.status == 200)
            #expect(written.json["size"].int == 5)
            let tag = try #require(written.headers["etag"])
            let other = #"{"path":"made/by/user","content":"other"}"#
            for (status, expected) in [(200, tag), (412, tag)] {
                let answer = try await client.send(.put, "\(path)/files/write", other, headers: ["If-Match": expected])
                #expect(answer.status == status)
            }
            #expect(
                try await client.put("\(path)/files/write", #"{"path":"made/by/user","content":"hello"}"#).status == 200
            )
            #expect(try await fixture.talk("cat made/by/user", in: session).text == "hello")
            #expect(try await client.get("\(path)/files/read").status == 400)
            #expect(try await client.get("\(path)/files/read?path=no").status == 404)
            #expect(try await client.get("\(path)/files/read?path=../x").status == 400)
            #expect(try await client.get("/api/projects/local/sessions/unknown/files").status == 404)
            let found = try await client.get("\(path)/files/search?q=user&limit=1").json
            #expect(found["query"].string == "user")
            #expect(found["results"].list.map { $0["path"].string } == ["made/by/user"])
            #expect(found["results"].list.map { $0["type"].string } == ["file"])
            for limit in ["0", "201", "x"] {
                #expect(try await client.get("\(path)/files/search?q=user&limit=\(limit)").status == 400)
            }
            let diff = try await client.get("\(path)/diff").json
            #expect(diff["files"].list.map { $0["path"].string } == ["README.md", "made/by/user", "made/file"])
            #expect(diff["stats"]["filesChanged"].int == 3)
            let names = try await client.get("\(path)/diff?format=files").json["files"].list
            #expect(names.map { $0["status"].string } == ["modified", "added", "added"])
            #expect(names.allSatisfy { $0["patch"].string == nil && $0["additions"].int == nil })
            let one = try await client.get("\(path)/diff?path=made/file").json
            #expect(one["status"].string == "added" && one["patch"].string?.hasSuffix("+agent\n") == true)
            #expect(try await client.get("\(path)/diff?path=../x").status == 400)
            #expect(try await client.get("\(path)/diff?format=xml").status == 400)
            #expect(try await client.get("/api/projects/local/sessions/unknown/diff").status == 404)
            for (name, body) in [
                ("rename", #"{"oldPath":"made/file","newPath":"x"}"#), ("delete", #"{"path":"made"}"#),
            ] {
                let answer = try await client.send(.post, "\(path)/files/\(name)", body, headers: ["If-Match": tag])
                #expect(answer.status == 412)
            }
            let moved = try await client.post("\(path)/files/rename", #"{"oldPath":"made","newPath":"kept"}"#)
            #expect(moved.status == 200)
            #expect(
                try await client.post("\(path)/files/delete", #"{"path":"kept"}"#).json["type"].string == "directory"
            )
            #expect(try await client.get("\(path)/files?path=kept").status == 404)
        }
    }
}

extension ChatFixture {
    fileprivate func leftRuntimes(of session: String) -> [SeenProcess] {
        SeenProcess.all.filter { $0.isOf(session: session) }
    }
}
