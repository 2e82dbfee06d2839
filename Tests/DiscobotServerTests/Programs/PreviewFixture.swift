// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import HTTPTypes
import Testing

/// Sessions with services to look at.
enum PreviewFixture {
    /// A server in plain sockets, which can say what no library would.
    static let mirror = #"""
        #!/usr/bin/python3
        #---
        # name: Mirror
        # http: 8099
        # path: /head
        #---
        import base64, hashlib, json, os, socket, threading, time

        def serve(c):
            f = c.makefile('rb')
            line = f.readline().decode('latin-1').strip()
            head = []
            while True:
                h = f.readline().decode('latin-1').rstrip('\r\n')
                if not h: break
                head.append(h)
            get = lambda n: next((h.split(':', 1)[1].strip() for h in head if h.lower().startswith(n + ':')), None)
            path = line.split(' ')[1] if ' ' in line else '/'
            ok = b'HTTP/1.1 200 OK\r\n'
            def answer(body, extra=b''):
                c.sendall(ok + extra + b'Content-Length: %d\r\n\r\n' % len(body) + body)
            if path.startswith('/head'):
                answer(json.dumps({'line': line, 'head': head}).encode(),
                    b'Set-Cookie: sid=1; Domain=localhost; Path=/\r\nSet-Cookie: discobot_session=evil\r\n'
                    b'Connection: X-Drop\r\nX-Drop: 1\r\n')
            elif path == '/echo':
                c.sendall(ok + b'Transfer-Encoding: chunked\r\n\r\n')
                def send(b): c.sendall(b'%x\r\n' % len(b) + b + b'\r\n')
                if get('content-length'):
                    rest = int(get('content-length'))
                    while rest:
                        b = f.read1(min(rest, 65536)); rest -= len(b); send(b)
                else:
                    while True:
                        n = int(f.readline(), 16)
                        if n: send(f.read(n))
                        f.readline()
                        if not n: break
                c.sendall(b'0\r\n\r\n')
            elif path == '/early':
                answer(b'enough')
            elif path == '/sse':
                c.sendall(ok + b'Content-Type: text/event-stream\r\n\r\ndata: 1\n\n')
                c.recv(1)
                open('client-gone', 'w').close()
            elif path == '/stall':
                c.sendall(ok + b'Content-Length: 100\r\n\r\nshort')
                c.recv(1)
                open('stall-gone', 'w').close()
            elif path == '/silence':
                open('silence-begun', 'w').close()
                c.recv(1)
                open('silence-gone', 'w').close()
            elif path == '/chunks':
                c.sendall(ok + b'Transfer-Encoding: chunked\r\n\r\n' + (b'' if line.startswith('HEAD') else b'0\r\n\r\n'))
            elif path == '/big':
                c.sendall(ok + b'Content-Length: 50000000\r\n\r\n')
                for i in range(500): c.sendall(bytes([i % 256]) * 100000)
            elif path == '/garbage': c.sendall(b'220 mail.example.com ESMTP\r\n')
            elif path == '/both':
                c.sendall(ok + b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nsmuggled')
            elif path == '/cut': c.sendall(ok + b'Content-Length: 100\r\n\r\nshort')
            elif path == '/nothing': pass
            elif path == '/ws':
                key = base64.b64encode(hashlib.sha1((get('sec-websocket-key') + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest())
                c.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                    b'Sec-WebSocket-Accept: ' + key + b'\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello')
                while True:
                    b = f.read1(65536)
                    if not b: break
                    c.sendall(b)
                open('socket-gone', 'w').close()
            else: c.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno')
            c.close()

        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', int(os.environ['PORT']))); s.listen(64)
        print('listening', flush=True)
        while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
        """#

    /// Counts its connections and says on which one it answers; `/last` closes without saying so.
    static let keeper = #"""
        #!/usr/bin/python3
        #---
        # http: 8103
        #---
        import http.server, os

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            count = 0
            def setup(self):
                super().setup()
                Handler.count += 1
                self.number = Handler.count
            def answer(self):
                body = b'connection %d' % self.number
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = self.close_connection or self.path == '/last'
            do_GET = do_POST = answer

        http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
        """#

    /// Speaks TLS, with a certificate that it makes itself.
    static let secure = #"""
        #!/bin/sh
        #---
        # https: 8443
        #---
        dir=$(mktemp -d)
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=dev -days 2 -keyout $dir/key -out $dir/cert 2>/dev/null
        exec /usr/bin/python3 - $dir <<'END'
        import http.server, os, ssl, sys

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def do_GET(self):
                body = (self.connection.version() + ' ' + self.headers['Host']).encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1] + '/cert', sys.argv[1] + '/key')
        server = http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()
        END
        """#

    /// A script for the agent that puts a service into the working copy.
    static func add(_ name: String, _ text: String) -> String {
        let content = Data(text.utf8).base64EncodedString()
        return "mkdir -p .discobot/services; echo \(content) | base64 -d > .discobot/services/\(name); "
            + "chmod +x .discobot/services/\(name)"
    }
}

extension ChatFixture {
    /// A session that has these services.
    ///
    /// - Parameter started: one that has been started by a request and answers.
    func session(
        with services: [String: String],
        named name: String? = nil,
        started: String? = nil
    ) async throws -> String {
        let session = name ?? newSession()
        let script = services.map { PreviewFixture.add($0.key, $0.value) }.joined(separator: "\n")
        _ = try await talk(script, in: session)
        if let started {
            // On a busy machine one may take longer to start than a request waits.
            try await eventually { try await preview(session, started, "/head").status == 200 }
        }
        return session
    }

    /// Asks a service by the name of its host.
    func preview(
        _ session: String,
        _ service: String,
        _ path: String,
        headers: [String: String] = [:]
    ) async throws -> TestClient.Answer {
        let host = ["Host": "\(session)-svc-\(service).localhost:\(port)"]
        return try await client.send(.get, path, headers: host.merging(headers) { $1 })
    }

    /// A connection to the server on which a request for a service has been sent.
    func rawPreview(_ session: String, _ service: String, _ request: String) throws -> RawConnection {
        let connection = try RawConnection(port: port)
        let lines = request.replacing("HOST", with: "\(session)-svc-\(service).localhost")
        connection.send(lines)
        return connection
    }
}
