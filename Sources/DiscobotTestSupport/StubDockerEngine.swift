// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Answers on a unix socket as a test says, for what no real engine answers at will; may stand before a real one.
package final class StubDockerEngine: Sendable {
    package enum Answer: Sendable {
        /// A whole answer in JSON.
        case json(Int, String)
        /// Bytes as they are, after which the connection ends.
        case raw(String)
        /// Bytes as they are, after which nothing follows.
        case stalled(String)
        /// What the closure writes, until that returns.
        case live(@Sendable (_ write: (String) -> Void) -> Void)
        /// What the real engine answers; the closure runs once that has begun to, and before anybody hears of it.
        case real(then: @Sendable () -> Void)
        case hangup
    }

    package let path: String
    private let descriptor: Int32
    private let seen = Mutex<[String]>([])
    private let held = Mutex<[Int32]>([])
    private let engine: String?
    private let answer: @Sendable (String) -> Answer?

    /// - Parameters:
    ///   - engine: the socket of a real engine.
    ///   - answer: to a request line without version, such as `GET /containers/x/json`; nil for that of the real engine.
    ///     Without one, `/_ping` and `/info` are answered anyway.
    package init(
        in directory: TemporaryDirectory,
        before engine: String? = nil,
        answer: @escaping @Sendable (String) -> Answer?
    ) throws {
        path = directory.file("stub.sock")
        self.engine = engine
        self.answer = answer
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let descriptor = descriptor
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(descriptor, 64) == 0
            }
        }
        guard isBound else { throw Shell.Failed(description: "no socket") }
        Thread.detachNewThread { [weak self] in
            // Here and nowhere else: this could accept for another socket that gets the same number.
            defer { Glibc.close(descriptor) }
            while true {
                let peer = accept(descriptor, nil, nil)
                guard peer >= 0, let self else { return }
                Thread.detachNewThread { self.serve(peer) }
            }
        }
    }

    /// Ends the socket and all connections.
    package func close() {
        shutdown(descriptor, Int32(SHUT_RDWR))
        unlink(path)
        held.withLock { held in
            for peer in held { Glibc.close(peer) }
            held = []
        }
    }

    /// The requests so far, each with its head and what came with that.
    package var requests: [String] { seen.withLock { $0 } }

    private func serve(_ peer: Int32) {
        var request: [UInt8] = []
        var head = ""
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while !head.contains("\r\n\r\n") {
            let count = recv(peer, &buffer, buffer.count, 0)
            guard count > 0 else { return _ = Glibc.close(peer) }
            request += buffer.prefix(count)
            head = String(decoding: request, as: UTF8.self)
        }
        seen.withLock { $0.append(head) }
        let parts = head.prefix { $0 != "\r\n" }.split(separator: " ")
        let isPing = parts.count > 1 && parts[1] == "/_ping"
        let path = parts.count > 1 && parts[1].hasPrefix("/v") ? parts[1].dropFirst(2).drop { $0 != "/" } : parts[1]
        let answer: Answer? =
            switch path {
            case _ where engine != nil: answer("\(parts[0]) \(path)")
            case _ where isPing: .raw(Self.ping)
            case "/info": .json(200, "{}")
            default: answer("\(parts[0]) \(path)")
            }
        switch answer ?? .real(then: {}) {
        case .json(let status, let body):
            write(
                "HTTP/1.1 \(status) Status\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)",
                to: peer
            )
        case .raw(let text): write(text, to: peer)
        case .stalled(let text):
            write(text, to: peer)
            return held.withLock { $0.append(peer) }
        case .live(let body): body { write($0, to: peer) }
        case .real(let then): pass(request, from: peer, then)
        case .hangup: break
        }
        Glibc.close(peer)
    }

    /// Lets the real engine answer one request.
    private func pass(_ request: [UInt8], from peer: Int32, _ then: () -> Void) {
        guard let engine, let upstream = UnixSocket.connect(engine), let end = request.firstIndex(of: 10) else {
            return
        }
        // With an end after each answer there is one request on a connection.
        let close = Array("Connection: close\r\n".utf8)
        UnixSocket.write(Array(request[...end]) + close + Array(request[(end + 1)...]), to: upstream)
        let isOver = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            UnixSocket.copy(peer, to: upstream)
            shutdown(upstream, Int32(SHUT_RDWR))
            isOver.signal()
        }
        UnixSocket.copy(upstream, to: peer, first: then)
        shutdown(peer, Int32(SHUT_RDWR))
        // The other thread has the same descriptors.
        isOver.wait()
        Glibc.close(upstream)
    }

    private func write(_ text: String, to peer: Int32) {
        UnixSocket.write(Array(text.utf8), to: peer)
    }

    private static let ping =
        "HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK"

    /// The head of an answer that goes on until the connection ends.
    package static let streamHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
}
