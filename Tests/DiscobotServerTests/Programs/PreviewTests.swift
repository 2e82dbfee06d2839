// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Services of real sandboxes, seen through the server.
@Suite(.timeLimit(.minutes(10)))
struct PreviewTests {
    private static let services = ["mirror.py": PreviewFixture.mirror]

    @Test(arguments: SessionProvider.allCases)
    func `a service is started by the first request, and sees what it may`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = try await fixture.session(with: Self.services)
            // Whatever it gets: on a busy machine a service may take longer to start than a request waits.
            _ = try await fixture.preview(session, "mirror", "/head")
            let services = "/api/projects/local/sessions/\(session)/services"
            let status = try await fixture.client.get(services).json["services"].list.first?["status"].string
            #expect(["starting", "running"].contains(status), "\(status ?? "")")
            try await eventually { try await fixture.preview(session, "mirror", "/head").status == 200 }
            let headers = ["Cookie": "a=1; discobot_session=s", "X-Forwarded-Host": "evil", "X-Custom": "x"]
            let answer = try await fixture.preview(session, "mirror", "/head/a%2Fb?q=1&r", headers: headers)
            #expect(answer.status == 200)
            #expect(answer.json["line"].string == "GET /head/a%2Fb?q=1&r HTTP/1.1")
            let head = answer.json["head"].list.compactMap(\.string)
            let host = "\(session)-svc-mirror.localhost:\(fixture.port)"
            for line in [
                "Host: \(host)", "Cookie: a=1", "X-Custom: x", "X-Forwarded-Host: \(host)", "X-Forwarded-Proto: http",
            ] {
                #expect(head.contains(line), "\(line)")
            }
            #expect(head.contains { $0.hasPrefix("X-Forwarded-For: 127.0.0.1") })
            #expect(answer.headers["set-cookie"] == "sid=1; Path=/")
            #expect(answer.headers["x-drop"] == nil)
            let list = try await fixture.client.get("/api/projects/local/sessions/\(session)/services").json["services"]
                .list
            #expect(list.first?["status"].string == "running")
            #expect(list.first?["previewUrl"].string == "http://\(host)/head")
            #expect(list.first?["previewPathUrl"].string == nil)
            #expect(try await fixture.preview(session.uppercased(), "MIRROR", "/head").status == 200)
            #expect(try await fixture.preview(session, "mirror", "/none").status == 404)
        }
    }

    @Test
    func `bodies of any size pass both ways`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let host = ["Host": "\(session)-svc-mirror.localhost"]
            let bytes = (0..<9_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let echo = try await fixture.client.send(.post, "/echo", bytes: bytes, headers: host)
            #expect(echo.body == Data(bytes))
            let big = try await fixture.preview(session, "mirror", "/big")
            #expect(big.body.count == 50_000_000)
            #expect(big.headers["content-length"] == "50000000")
            let early = try await fixture.client.send(.post, "/early", bytes: bytes, headers: host)
            #expect(early.text == "enough")
            let chunked = "POST /echo HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            let connection = try fixture.rawPreview(session, "mirror", chunked + "3\r\nabc\r\n")
            #expect(await connection.read(until: "abc").contains("200"))
            connection.send("4\r\ndefg\r\n0\r\n\r\n")
            #expect(await connection.read(until: "defg").contains("defg"))
            connection.close()
            let head = try await fixture.client.send(.head, "/head", headers: host)
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `events come as they happen, and a client that goes is noticed`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let connection = try fixture.rawPreview(session, "mirror", "GET /sse HTTP/1.1\r\nHost: HOST\r\n\r\n")
            #expect(await connection.read(until: "data: 1").contains("text/event-stream"))
            connection.close()
            let files = "/api/projects/local/sessions/\(session)/files"
            try await eventually { try await fixture.client.get(files).text.contains("client-gone") }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a WebSocket passes byte by byte`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let request = """
                GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
                """
            let connection = try fixture.rawPreview(session, "mirror", request.replacing("\r\n\n", with: "\r\n"))
            let head = await connection.read(until: "hello")
            #expect(head.hasPrefix("HTTP/1.1 101"))
            #expect(head.lowercased().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="))
            #expect(head.lowercased().contains("sec-websocket-protocol: chat"))
            #expect(head.hasSuffix("hello"))
            connection.send("ping")
            #expect(await connection.read(until: "ping") == "ping")
            connection.close()
            let files = "/api/projects/local/sessions/\(session)/files"
            try await eventually { try await fixture.client.get(files).text.contains("socket-gone") }
        }
    }

    @Test
    func `what is no answer is a clear failure`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            for path in ["/garbage", "/both", "/nothing"] {
                let answer = try await fixture.preview(session, "mirror", path)
                #expect(answer.status == 502, "\(path)")
                #expect(answer.json["error"].string == "Service unavailable")
                #expect(answer.json["sessionId"].string == session)
                #expect(answer.json["serviceId"].string == "mirror")
                #expect(answer.json["message"].string?.isEmpty == false)
                let page = try await fixture.preview(session, "mirror", path, headers: ["Accept": "text/html"])
                #expect(page.headers["content-type"]?.hasPrefix("text/html") == true)
            }
            let cut = try fixture.rawPreview(session, "mirror", "GET /cut HTTP/1.1\r\nHost: HOST\r\n\r\n")
            #expect(await cut.readToEnd()?.hasSuffix("short") == true)
            cut.close()
            for smuggling in [
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Bad Name: x\r\n\r\n",
                "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            ] {
                let connection = try fixture.rawPreview(
                    session,
                    "mirror",
                    "POST /echo HTTP/1.1\r\nHost: HOST\r\n\(smuggling)"
                )
                #expect(await connection.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 400"), "\(smuggling)")
                connection.close()
            }
        }
    }

    @Test
    func `a service that is not there yet has a page that asks again`() async throws {
        let lazy = "#!/bin/sh\n#---\n# http: 8100\n#---\necho '<b>warming up</b>'; exec sleep 1000\n"
        let broken = "#!/bin/sh\n#---\n# http: 8101\n#---\necho no config >&2; exit 7\n"
        let passive = "---\nhttp: 8102\n---\n"
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(
                with: ["lazy.sh": lazy, "broken.sh": broken, "ext": passive, "noport.sh": "#!/bin/sh\nsleep 1\n"]
            )
            let html = ["Accept": "text/html,*/*"]
            try await eventually {
                try await fixture.preview(session, "lazy", "/", headers: html).text.contains(
                    "&lt;b&gt;warming up&lt;/b&gt;"
                )
            }
            let page = try await fixture.preview(session, "lazy", "/", headers: html)
            #expect(page.status == 503)
            #expect(page.text.contains("http-equiv=\"refresh\""))
            #expect(page.headers["cache-control"] == "no-store")
            #expect(page.headers["content-security-policy"]?.contains("default-src 'none'") == true)
            let ended = try await fixture.preview(session, "broken", "/")
            #expect(ended.status == 502)
            #expect(ended.json["message"].string?.contains("exit code 7") == true)
            // It is started again now and then.
            try await eventually {
                let page = try await fixture.preview(session, "broken", "/", headers: html)
                return page.text.contains("broken has ended") && page.text.contains("no config")
            }
            #expect(try await fixture.preview(session, "ext", "/").status == 502)
            #expect(try await fixture.preview(session, "noport", "/").status == 502)
            #expect(try await fixture.preview(session, "unknown", "/").status == 404)
            #expect(try await fixture.preview("no-such-session", "web", "/").status == 404)
            // A sandbox that was stopped comes back for whoever asks.
            let path = "/api/projects/local/sessions/\(session)"
            #expect(try await fixture.client.put(path, #"{"status":"stopped"}"#).status == 200)
            try await eventually {
                try await fixture.preview(session, "lazy", "/", headers: html).text.contains("lazy is starting")
            }
        }
    }

    @Test
    func `a session is found by any id`() async throws {
        try await ChatFixture.with { fixture in
            let mark = fixture.mark
            let long = "\(mark)-" + String(repeating: "L", count: 64 - mark.count)
            for id in ["\(mark)-UPPER", "\(mark)-svc-x", long, "\(mark)-end-"] {
                _ = try await fixture.session(with: Self.services, named: id)
                let list = try await fixture.client.get("/api/projects/local/sessions/\(id)/services").json["services"]
                    .list
                let url = try #require(list.first?["previewUrl"].string)
                let host = try #require(URL(string: url)?.host)
                try await eventually {
                    try await fixture.client.send(.get, "/head", headers: ["Host": host]).status == 200
                }
                _ = try await fixture.client.post("/api/projects/local/sessions/\(id)/services/mirror/stop", "")
            }
        }
    }

    @Test
    func `pages of services cannot use the API, and rebound names reach no service`() async throws {
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let origin = "http://\(session)-svc-mirror.localhost:\(fixture.port)"
            for path in ["/api/projects", "/api/status"] {
                let read = try await fixture.client.send(.get, path, headers: ["Origin": origin])
                #expect(read.headers["access-control-allow-origin"] == nil)
            }
            let write = try await fixture.client.send(
                .post,
                "/api/projects",
                #"{"name":"x"}"#,
                headers: ["Origin": origin]
            )
            #expect(write.status == 403)
            let rebound = try await fixture.client.send(
                .get,
                "/head",
                headers: ["Host": "\(session)-svc-mirror.evil.example"]
            )
            #expect(rebound.status == 421)
            // A page of anybody else cannot open a WebSocket to a service, nor send it anything.
            let host = "\(session)-svc-mirror.localhost:\(fixture.port)"
            for (page, status) in [
                ("https://evil.example", 403), ("http://other-svc-mirror.localhost:\(fixture.port)", 403),
                ("http://\(session)-svc-mirror.evil.example", 403), ("null", 403), (origin, 200),
            ] {
                let headers = ["Host": host, "Origin": page]
                let answer = try await fixture.client.send(.post, "/head", "x", headers: headers)
                #expect(answer.status == status, "\(page)")
                #expect(try await fixture.client.send(.get, "/head", headers: headers).status == 200, "\(page)")
            }
            // A page of one service cannot reach another one by a header on its own host.
            let other = ["X-Forwarded-Host": "other-svc-mirror.localhost"]
            let own = try await fixture.preview(session, "mirror", "/head", headers: other)
            #expect(own.json["head"].list.compactMap(\.string).contains { $0.hasPrefix("Host: \(session)-svc-") })
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `the listener for paths isolates services that share it`(provider: SessionProvider) async throws {
        let port = try ServerProcess.freePort()
        let setting = ChatFixture.Setting(provider: provider, environment: ["PREVIEW_PORT": String(port)])
        try await ChatFixture.with(setting) { fixture in
            let session = try await fixture.session(with: Self.services, started: "mirror")
            let list = try await fixture.client.get("/api/projects/local/sessions/\(session)/services").json["services"]
                .list
            let url = try #require(list.first?["previewPathUrl"].string)
            #expect(url.hasPrefix("http://127.0.0.1:\(port)/\(session)/mirror/"))
            let client = TestClient(port: port)
            let path = try #require(URL(string: url)?.path)
            let headers = ["Cookie": "a=1", "Authorization": "Bearer x", "Origin": "null"]
            let answer = try await client.send(.get, path, headers: headers)
            #expect(answer.json["line"].string == "GET /head HTTP/1.1")
            let head = answer.json["head"].list.compactMap(\.string)
            #expect(!head.contains { $0.hasPrefix("Cookie") || $0.hasPrefix("Authorization") })
            #expect(head.contains("X-Forwarded-Prefix: \(path.dropLast(5))"))
            #expect(answer.headers["set-cookie"] == nil)
            #expect(answer.headers["content-security-policy"]?.hasPrefix("sandbox ") == true)
            #expect(answer.headers["access-control-allow-origin"] == "*")
            let parts = path.split(separator: "/")
            for wrong in [
                "/", "/\(session)/mirror/", "/\(session)/mirror/aaaa/head", "/\(session)/other/\(parts[2])/head",
                "/other/mirror/\(parts[2])/head", "/api/projects", "/health",
            ] { #expect(try await client.get(wrong).status == 404, "\(wrong)") }
            #expect(try await client.send(.get, path, headers: ["Host": "evil.example"]).status == 421)
            // Without a slash behind the secret, relative links of the page would lead elsewhere.
            let bare = try RawConnection(port: port)
            defer { bare.close() }
            let place = "/\(session)/mirror/\(parts[2])"
            bare.send("GET \(place)?x HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n")
            let redirect = await bare.readHead()
            #expect(redirect.hasPrefix("HTTP/1.1 307 "), "\(redirect)")
            #expect(redirect.lowercased().contains("\r\nlocation: \(place)/?x\r\n".lowercased()), "\(redirect)")
        }
    }

    @Test
    func `a service may listen on either loopback address`() async throws {
        let six = PreviewFixture.mirror.replacing("socket.socket()", with: "socket.socket(socket.AF_INET6)")
            .replacing("'127.0.0.1'", with: "'::1'").replacing("8099", with: "8098")
        try await ChatFixture.with { fixture in
            let session = try await fixture.session(with: ["six.py": six], started: "six")
            #expect(try await fixture.preview(session, "six", "/head").json["line"].string == "GET /head HTTP/1.1")
        }
    }
}
