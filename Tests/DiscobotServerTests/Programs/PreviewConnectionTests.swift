// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// The connections behind previews: when they end, and when they are used again.
@Suite(.timeLimit(.minutes(10)))
struct PreviewConnectionTests {
    private static let services = ["mirror.py": PreviewFixture.mirror]

    @Test
    func `a client that goes is noticed, whatever it waits for`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let files = "/api/projects/local/sessions/\(session)/files"
            let silence = try fixture.rawPreview(session, "mirror", "GET /silence HTTP/1.1\r\nHost: HOST\r\n\r\n")
            try await eventually { try await fixture.client.get(files).text.contains("silence-begun") }
            silence.close()
            try await eventually { try await fixture.client.get(files).text.contains("silence-gone") }
            let stall = try fixture.rawPreview(session, "mirror", "GET /stall HTTP/1.1\r\nHost: HOST\r\n\r\n")
            #expect(await stall.read(until: "short").hasSuffix("short"))
            stall.close()
            try await eventually { try await fixture.client.get(files).text.contains("stall-gone") }
        }
    }

    @Test
    func `an answer to HEAD ends with its head`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let requests = ["HEAD", "GET"].map { "\($0) /chunks HTTP/1.1\r\nHost: HOST\r\n" }
            let both = "\(requests[0])\r\n\(requests[1])Connection: close\r\n\r\n"
            let connection = try fixture.rawPreview(session, "mirror", both)
            defer { connection.close() }
            let answers = try #require(await connection.readToEnd())
            let parts = answers.components(separatedBy: "\r\n\r\n")
            #expect(parts.first?.hasPrefix("HTTP/1.1 200") == true, "\(answers)")
            #expect(parts.dropFirst().first?.hasPrefix("HTTP/1.1 200") == true, "\(answers)")
        }
    }

    @Test
    func `connections to a service are used again while it wants them`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: ["keeper.py": PreviewFixture.keeper], started: "keeper")
            var first = ""
            // They wait for a few seconds only, which may pass on a busy machine.
            try await eventually {
                let text = try await fixture.preview(session, "keeper", "/").text
                #expect(text.hasPrefix("connection "))
                defer { first = text }
                return text == first
            }
            // What may not be sent twice has a connection of its own, which is closed.
            let host = ["Host": "\(session)-svc-keeper.localhost"]
            let post = try await fixture.client.send(.post, "/", "x", headers: host)
            #expect(post.status == 200 && post.text != first)
            // A service may close one without a word, between requests or at the moment of the next one.
            for _ in 0..<20 {
                #expect(try await fixture.preview(session, "keeper", "/last").status == 200)
                #expect(try await fixture.preview(session, "keeper", "/").status == 200)
            }
            let services = "/api/projects/local/sessions/\(session)/services"
            #expect(try await fixture.client.post("\(services)/keeper/stop", "").status == 200)
            // By hand: a page that is still open somewhere starts none that was stopped.
            try await eventually {
                let stopped = try await fixture.preview(session, "keeper", "/", headers: ["Accept": "text/html"])
                // The agent may be too busy to tell yet.
                if stopped.status == 503 { return false }
                #expect(stopped.status == 502)
                #expect(stopped.text.contains("keeper was stopped"))
                #expect(!stopped.text.contains("http-equiv=\"refresh\""))
                return true
            }
            #expect(try await fixture.client.post("\(services)/keeper/start", "").status == 202)
            try await eventually { try await fixture.preview(session, "keeper", "/").text == "connection 1" }
        }
    }

    @Test
    func `a service that speaks TLS by a certificate of its own is seen`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: ["secure.sh": PreviewFixture.secure], started: "secure")
            for _ in 0..<2 {
                let answer = try await fixture.preview(session, "secure", "/")
                #expect(answer.status == 200)
                #expect(answer.text == "TLSv1.3 \(session)-svc-secure.localhost:\(fixture.port)")
            }
        }
    }

    @Test
    func `behind a proxy that changes the host, pages and links have the one of the browser`() async throws {
        let origins = "https://previews.example https://*.previews.example http://lan.example:8443"
        let setting = ChatFixture.Setting(environment: ["CORS_ORIGINS": origins.replacing(" ", with: ",")])
        try await ChatFixture.with(setting) { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let host = "\(session)-svc-mirror.previews.example"
            // What was there before may be anybody's.
            let forwarded = ["X-Forwarded-Host": "evil.example, \(host)", "X-Forwarded-Proto": "https"]
            let seen = try await fixture.client.send(.get, "/head", headers: forwarded)
            #expect(seen.json["line"].string == "GET /head HTTP/1.1")
            let head = seen.json["head"].list.compactMap(\.string)
            for line in ["Host: \(host)", "X-Forwarded-Host: \(host)", "X-Forwarded-Proto: https"] {
                #expect(head.contains(line), "\(line)")
            }
            let path = "/api/projects/local/sessions/\(session)/services"
            let link = { (headers: [String: String]) async throws -> String? in
                let answer = try await fixture.client.send(.get, path, headers: headers)
                return answer.json["services"].list.first?["previewUrl"].string ?? "\(answer.status)"
            }
            let outside = ["X-Forwarded-Host": "previews.example", "X-Forwarded-Proto": "https"]
            #expect(try await link(outside) == "https://\(host)/head")
            let kept = ["Host": "lan.example:8443", "X-Forwarded-Host": "lan.example"]
            #expect(try await link(kept) == "http://\(session)-svc-mirror.lan.example:8443/head")
            let own = "http://\(session)-svc-mirror.localhost:\(fixture.port)/head"
            #expect(try await link(["X-Forwarded-Host": "a b/c"]) == own)
            // No name that leads here by whatever way makes a page one of this server's.
            #expect(try await link(["Host": "evil.example", "X-Forwarded-Host": "localhost"]) == "421")
            #expect(try await link(["X-Forwarded-Host": "evil.example"]) == "421")
            #expect(try await link(["X-Forwarded-Host": "\(session)-svc-mirror.evil.example"]) == "421")
        }
    }

    @Test
    func `only a proxy that is trusted says where a request comes from`() async throws {
        let setting = ChatFixture.Setting(environment: ["TRUSTED_PROXIES": "none"])
        try await ChatFixture.with(setting) { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let host = "\(session)-svc-mirror.localhost"
            let forwarded = [
                "X-Forwarded-Host": host, "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https",
                "Forwarded": "for=10.0.0.1",
            ]
            #expect(try await fixture.client.send(.get, "/head", headers: forwarded).status == 404)
            let seen = try await fixture.preview(session, "mirror", "/head", headers: forwarded)
            let head = seen.json["head"].list.compactMap(\.string)
            #expect(head.contains("X-Forwarded-For: 127.0.0.1") && head.contains("X-Forwarded-Proto: http"))
            #expect(!head.contains { $0.hasPrefix("Forwarded") })
            let path = "/api/projects/local/sessions/\(session)/services"
            let list = try await fixture.client.send(.get, path, headers: forwarded).json["services"].list
            #expect(list.first?["previewUrl"].string?.hasPrefix("http://") == true)
        }
    }
}
