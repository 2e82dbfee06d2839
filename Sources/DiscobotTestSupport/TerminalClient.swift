// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotHTTP
package import DiscobotTunnel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Somebody at a terminal, at the runtime or through the server.
package final class TerminalClient: Sendable {
    package struct Ended: Error, CustomStringConvertible {
        package let close: WebSocketClose?
        package let shown: String

        package var description: String { "the terminal ended with \(String(describing: close)) after \(shown)" }
    }

    private let socket: WebSocket
    private let unread = Mutex("")

    private init(_ socket: WebSocket) {
        self.socket = socket
    }

    /// Runs `body` with a connection to the terminal of a session, and closes it.
    @discardableResult
    package static func with<Value: Sendable>(
        _ client: TestClient,
        session: String,
        query: String = "",
        headers: [(String, String)] = [],
        _ body: (TerminalClient) async throws -> Value
    ) async throws -> Value {
        let port = URL(string: client.base)?.port ?? 0
        let uri = "/api/projects/local/sessions/\(session)/terminal/ws?\(query)"
        return try await with(.tcp(host: "127.0.0.1", port: port), uri, [("Host", "localhost")] + headers, body)
    }

    /// Runs `body` with a connection to a terminal of a runtime, and closes it.
    @discardableResult
    package static func with<Value: Sendable>(
        _ runtime: AgentRuntimeProcess,
        user: String = "u1",
        query: String = "",
        _ body: (TerminalClient) async throws -> Value
    ) async throws -> Value {
        let headers = [("Host", "agent"), ("Authorization", "Bearer \(AgentRuntimeProcess.secret.value)")]
        let uri = "/terminal/ws?user=\(user)&\(query)"
        return try await with(.unixSocket(path: runtime.socket), uri, headers, body)
    }

    private static func with<Value: Sendable>(
        _ address: UpgradeClient.Address,
        _ uri: String,
        _ headers: [(String, String)],
        _ body: (TerminalClient) async throws -> Value
    ) async throws -> Value {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let tunnel = try await WebSocket.connect(
            to: address,
            uri: uri,
            headers: HTTPHeaders(headers),
            on: loop,
            timeout: .seconds(240)
        )
        return try await WebSocket.run(over: tunnel, as: .client) { try await body(TerminalClient($0)) }
    }

    package func type(_ text: String) async throws {
        struct Message: Encodable {
            let type = "input"
            let data: String
        }
        try await send(String(decoding: try JSONEncoding.bytes(of: Message(data: text)), as: UTF8.self))
    }

    package func resize(_ rows: Int, _ cols: Int) async throws {
        try await send(#"{"type":"resize","data":{"rows":\#(rows),"cols":\#(cols)}}"#)
    }

    package func send(_ text: String) async throws {
        try await socket.send(.text(text))
    }

    package func send(binary bytes: [UInt8]) async throws {
        try await socket.send(WebSocketMessage(.binary, ByteBuffer(bytes: bytes)))
    }

    /// The next message; nil when the connection has ended.
    package func next() async throws -> TerminalOutput? {
        guard let message = try await socket.receive() else { return nil }
        return try JSONDecoder().decode(TerminalOutput.self, from: Data(message.bytes.readableBytesView))
    }

    /// What is shown up to and with a text. Throws ``Ended`` when it never comes.
    package func output(until text: String) async throws -> String {
        var shown = unread.withLock { unread in
            defer { unread = "" }
            return unread
        }
        // Only what is new is looked through, since floods are long.
        var searched = shown.startIndex
        while true {
            if let range = shown[searched...].range(of: text) {
                let rest = String(shown[range.upperBound...])
                unread.withLock { $0 = rest }
                return String(shown[..<range.upperBound])
            }
            let back = text.count
            let count = shown.unicodeScalars.count
            guard let message = try await next() else {
                throw Ended(close: socket.peerClose, shown: String(shown.suffix(2000)))
            }
            if case .output(let more) = message { shown += more }
            searched = shown.unicodeScalars.index(shown.startIndex, offsetBy: max(0, count - back))
        }
    }

    /// Types a command for the shell; returns what is shown until it has ended.
    @discardableResult
    package func run(_ command: String) async throws -> String {
        let mark = "D" + UUID().uuidString.prefix(8)
        // The echo of the line does not have the mark as a whole.
        try await type("\(command); printf '%s%s\\n' \(mark.prefix(3)) \(mark.dropFirst(3))\r")
        return try await output(until: mark)
    }

    /// Reads to the end of the connection; returns how the other side has ended it.
    package func end() async throws -> WebSocketClose? {
        while try await next() != nil {}
        return socket.peerClose
    }

    package func close() {
        socket.close(WebSocketClose(WebSocketClose.normal))
    }
}
