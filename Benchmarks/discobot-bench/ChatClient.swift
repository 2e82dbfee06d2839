// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Makes sessions, and the requests of chats in them.
struct ChatClient: Sendable {
    private static let path = "/api/projects/local"
    private let api: String
    private let workspace: String
    private let agent: String
    /// For the whole run: one that is not shut down must not go.
    private static let http = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private let statuses = SessionStatuses()

    private init(port: Int, workspace: String, agent: String) {
        api = "http://127.0.0.1:\(port)" + Self.path
        self.workspace = workspace
        self.agent = agent
    }

    /// Runs `body` with a client that hears of what becomes of its sessions.
    static func with(
        port: Int,
        workspace: String,
        agent: String,
        _ body: (ChatClient) async throws -> Void
    ) async throws {
        let client = ChatClient(port: port, workspace: workspace, agent: agent)
        let events = try await http.execute(HTTPClientRequest(url: client.api + "/events"), deadline: .distantFuture)
        guard events.status == .ok else { throw ValidationError("\(events.status) for the events") }
        // Ends with the body, or the server.
        let reader = Task {
            defer { client.statuses.end() }
            var rest = ""
            for try await buffer in events.body {
                rest += String(buffer: buffer)
                var lines = rest.split(separator: "\n", omittingEmptySubsequences: false)
                let last = lines.removeLast()
                for line in lines { client.statuses.read(line) }
                rest = String(last)
            }
        }
        defer { reader.cancel() }
        try await body(client)
    }

    /// Makes a session and waits for it to be ready; returns how long that took, too.
    func makeSession() async throws -> (id: String, time: Duration) {
        let start = ContinuousClock.now
        let id = try await requestSession()
        return (id, try await time(of: id, becoming: "ready", since: start))
    }

    /// How long after `start` a session becomes this; waits for it, five minutes at most.
    func time(of id: String, becoming status: String, since start: ContinuousClock.Instant) async throws -> Duration {
        try await withThrowingTaskGroup(of: Duration.self) { group in
            group.addTask { try await statuses.time(of: id, becoming: status, since: start) - start }
            group.addTask {
                try await Task.sleep(for: .seconds(300))
                throw ValidationError("the session \(id) does not become \(status)")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .zero
        }
    }

    /// Asks for a session; it gets ready by itself.
    private func requestSession() async throws -> String {
        let id = UUID().uuidString.lowercased()
        try await send(.POST, "/sessions", #"{"id":"\#(id)","workspaceId":"\#(workspace)","agentId":"\#(agent)"}"#)
        return id
    }

    /// Asks for a change of a session's status.
    func setStatus(_ status: String, of id: String) async throws {
        try await send(.PATCH, "/sessions/\(id)", #"{"status":"\#(status)"}"#)
    }

    /// A session as it is now.
    func session(_ id: String) async throws -> Data {
        Data(try await send(.GET, "/sessions/\(id)").utf8)
    }

    func makeSessions(_ count: Int) async throws -> [String] {
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<count { group.addTask { try await makeSession().id } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Removes a session and waits until it is gone.
    func removeSession(_ id: String) async throws {
        let start = ContinuousClock.now
        try await send(.DELETE, "/sessions/\(id)")
        _ = try await time(of: id, becoming: "removed", since: start)
    }

    /// The request that sends a text as a message and is answered with the stream of its answer.
    func chatRequest(_ text: String, in session: String) throws -> String {
        let part = ["type": "text", "text": text]
        let message: [String: Any] = ["id": UUID().uuidString, "role": "user", "parts": [part]]
        let body = try JSONSerialization.data(withJSONObject: ["id": session, "messages": [message]])
        return "POST \(Self.path)/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\n\r\n" + String(decoding: body, as: UTF8.self)
    }

    /// The request that goes on with the answer of a session.
    func streamRequest(_ session: String, after id: String? = nil) -> String {
        "GET \(Self.path)/chat/\(session)/stream HTTP/1.1\r\nHost: localhost\r\n"
            + (id.map { "Last-Event-ID: \($0)\r\n" } ?? "") + "\r\n"
    }

    @discardableResult
    private func send(
        _ method: HTTPMethod,
        _ path: String,
        _ body: String? = nil
    ) async throws -> String {
        var request = HTTPClientRequest(url: api + path)
        request.method = method
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await Self.http.execute(request, timeout: .seconds(30))
        let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
        guard [200, 201].contains(response.status.code) else { throw ValidationError("\(response.status): \(text)") }
        return text
    }
}
