// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import NIOCore
import Testing

@testable import DiscobotHTTP

/// Answers of services, byte by byte.
struct AnswerParserTests {
    private struct Answer: Equatable {
        var status = 0
        var fields: [AnswerParser.Field] = []
        var body = ""
        var hasEnded = false
    }

    private func read(_ pieces: [String], isToHead: Bool = false, closes: Bool = true) throws -> Answer {
        var parser = AnswerParser(isToHead: isToHead)
        var answer = Answer()
        func take() throws {
            while let part = try parser.next() {
                switch part {
                case .head(let head): (answer.status, answer.fields) = (head.status, head.fields)
                case .body(let bytes): answer.body += String(buffer: bytes)
                case .end:
                    answer.hasEnded = true
                    return
                }
            }
        }
        for piece in pieces {
            parser.append(ByteBuffer(string: piece))
            try take()
        }
        if closes {
            parser.close()
            try take()
        }
        return answer
    }

    @Test func `what has been read takes no memory`() throws {
        var parser = AnswerParser(isToHead: false)
        parser.append(ByteBuffer(string: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        _ = try parser.next()
        let chunk = String(repeating: "x", count: 0x1000)
        // Each piece ends in the middle of the next size.
        var sizes = "1"
        for _ in 0..<1000 {
            parser.append(ByteBuffer(string: "\(sizes)000\r\n\(chunk)\r\n1"))
            while try parser.next() != nil {}
            sizes = ""
        }
        #expect(parser.rest.storageCapacity < 1 << 20)
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            ("HTTP/1.0 200 OK\nServer: old\n\nhello", "hello"),
            ("HTTP/1.1 200\r\n\r\nhello", "hello"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: r\r\n\r\n",
                "hello"
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                ""
            ),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ]
    )
    func `an answer is read whatever pieces it comes in`(text: String, body: String) throws {
        let whole = try read([text])
        #expect(whole.hasEnded)
        #expect(whole.body == body)
        #expect(try read(text.utf8.map { String(UnicodeScalar($0)) }) == whole)
        let middle = text.index(text.startIndex, offsetBy: text.count / 2)
        #expect(try read([String(text[..<middle]), String(text[middle...])]) == whole)
    }

    @Test
    func `an answer to HEAD has no body`() throws {
        let answer = try read(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], isToHead: true, closes: false)
        #expect(answer.hasEnded)
        #expect(answer.fields == [.init("Content-Length", "5")])
    }

    @Test
    func `what follows 101 is left for the other protocol`() throws {
        var parser = AnswerParser(isToHead: false)
        parser.append(ByteBuffer(string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nrest"))
        guard case .head(let head) = try parser.next() else { throw ProxyError(.badAnswer, "no head") }
        #expect(head.status == 101)
        #expect(String(buffer: parser.rest) == "rest")
    }

    @Test(
        arguments: [
            "", "hello\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "\u{16}\u{3}\u{1}", "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 99 No\r\n\r\n", "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", "HTTP/1.1 200 OK\r\nA : c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\u{0}c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Len",
        ]
    )
    func `what is no clear answer is refused`(text: String) {
        #expect(throws: ProxyError.self) { try read([text]) }
        #expect(throws: ProxyError.self) { try read(text.unicodeScalars.map { String($0) }) }
    }

    @Test
    func `heads, lines and interim answers have limits`() {
        let long = String(repeating: "x", count: 70_000)
        let many = String(repeating: "A: b\r\n", count: 300)
        for text in [
            "HTTP/1.1 200 OK\r\nA: \(long)", "HTTP/1.1 200 OK\r\n\(many)\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;\(long)",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + String(repeating: "A: b\r\n", count: 20_000),
            String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 100),
        ] {
            #expect(throws: ProxyError.self) { try read([text], closes: false) }
        }
    }

    /// Takes minutes where each piece makes the parser begin again.
    @Test
    func `a head may come byte by byte`() throws {
        let head = "HTTP/1.1 200 OK\r\nA: \(String(repeating: "x", count: 60_000))\r\nContent-Length: 2\r\n\r\n"
        let answer = try read((head + "ok").utf8.map { String(UnicodeScalar($0)) })
        #expect(answer.body == "ok")
        #expect(answer.fields.map(\.value.utf8.count) == [60_000, 1])
    }
}

extension AnswerParserTests {
    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true), ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false), ("HTTP/1.1 200 OK\r\n\r\nok", false),
        ]
    )
    func `another answer may follow a whole one only`(text: String, isReusable: Bool) throws {
        var parser = AnswerParser(isToHead: false)
        #expect(!parser.hasBegun && !parser.isReusable)
        parser.append(ByteBuffer(string: text))
        while let part = try parser.next(), part != .end {}
        #expect(parser.hasBegun)
        #expect(parser.isReusable == isReusable)
        parser.close()
        while let part = try? parser.next(), part != .end {}
        #expect(!parser.isReusable)
    }
}

/// Headers on their way through.
struct ProxyHeadersTests {
    private func request(_ headers: ProxyHeaders, _ fields: HTTPFields) -> [String] {
        headers.request(fields, authority: "a-svc-b.localhost:3001", path: "/x?y", client: "127.0.0.1").map {
            "\($0.name): \($0.value)"
        }
    }

    @Test
    func `a service gets neither our cookies nor what is about the connection`() throws {
        var fields: HTTPFields = [
            .cookie: "a=1; discobot_session=secret; b=2", .connection: "close, X-Gone", .accept: "text/html",
            .authorization: "Basic abc", .transferEncoding: "chunked", .upgrade: "h2c",
        ]
        for (name, value) in [
            ("X-Gone", "1"), ("Keep-Alive", "5"), ("TE", "trailers"), ("X-Discobot-Credentials", "[]"),
            ("Proxy-Authorization", "x"), ("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Host", "evil"),
            ("Forwarded", "host=evil"), ("X-Forwarded-Proto", "https"), ("Cookie", "Discobot_Secret=1"),
        ] { fields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value)) }
        let passed = request(ProxyHeaders(), fields)
        #expect(
            Set(passed) == [
                "Cookie: a=1; b=2", "Accept: text/html", "Authorization: Basic abc",
                "X-Forwarded-For: 10.0.0.1, 127.0.0.1", "X-Forwarded-Proto: https",
                "X-Forwarded-Host: a-svc-b.localhost:3001", "X-Forwarded-Path: /x?y",
            ]
        )
        let shared = request(ProxyHeaders(prefix: "/a/b/c"), fields)
        #expect(!shared.contains { $0.hasPrefix("Cookie") || $0.hasPrefix("Authorization") })
        #expect(shared.contains("X-Forwarded-Prefix: /a/b/c"))
    }

    @Test
    func `a browser gets cookies for the service's host only`() throws {
        let fields = [
            AnswerParser.Field("Set-Cookie", "a=1; Path=/; Domain=localhost; HttpOnly"),
            .init("Set-Cookie", "discobot_session=evil; Path=/"), .init("set-cookie", "b=2; domain = .x.org;Secure"),
            .init("Connection", "X-Gone"), .init("X-Gone", "1"), .init("Alt-Svc", "h3=\":443\""),
            .init("Location", "/login"), .init("Access-Control-Allow-Origin", "https://a"), .init("X-Kept", "1"),
            .init("Content-Security-Policy", "default-src 'self'"), .init("Transfer-Encoding", "chunked"),
        ]
        let own = ProxyHeaders().response(fields)
        #expect(own[values: .setCookie] == ["a=1; Path=/; HttpOnly", "b=2;Secure"])
        #expect(own[.location] == "/login")
        #expect(own[.accessControlAllowOrigin] == "https://a")
        #expect(own[.transferEncoding] == nil)
        #expect(own.count == 6)
        let shared = ProxyHeaders(prefix: "/s/w/k").response(fields)
        #expect(shared[values: .setCookie] == [])
        #expect(shared[.location] == "/s/w/k/login")
        #expect(shared[.accessControlAllowOrigin] == "*")
        let policies = shared[values: .contentSecurityPolicy]
        #expect(policies.count == 2)
        #expect(policies.contains { $0.hasPrefix("sandbox") && !$0.contains("allow-same-origin") })
    }

    @Test
    func `a service has no say in what other hosts and origins do`() throws {
        let fields = [
            AnswerParser.Field("Clear-Site-Data", "\"*\""), .init("Strict-Transport-Security", "max-age=1"),
            .init("WWW-Authenticate", "Basic"), .init("Service-Worker-Allowed", "/"),
            .init("Set-Cookie", "\tdiscobot_session=evil"), .init("X-Kept", "1"),
        ]
        let own = ProxyHeaders().response(fields)
        #expect(own.map(\.name.canonicalName).sorted() == ["service-worker-allowed", "www-authenticate", "x-kept"])
        let shared = ProxyHeaders(prefix: "/s/w/k").response(fields).map(\.name.canonicalName)
        #expect(shared.contains("x-kept"))
        #expect(!shared.contains { ["www-authenticate", "service-worker-allowed", "clear-site-data"].contains($0) })
    }
}
