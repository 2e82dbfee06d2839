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

    init(port: Int, workspace: String, agent: String) {
        api = "http://127.0.0.1:\(port)" + Self.path
        self.workspace = workspace
        self.agent = agent
    }

    /// Makes a session and waits for it to be ready.
    func makeSession() async throws -> String {
        let id = try await requestSession()
        try await wait(for: "ready", id)
        return id
    }

    /// Asks for a session; it gets ready by itself.
    func requestSession() async throws -> String {
        let id = UUID().uuidString.lowercased()
        try await send(.POST, "/sessions", #"{"id":"\#(id)","workspaceId":"\#(workspace)","agentId":"\#(agent)"}"#)
        return id
    }

    /// Waits for a session to have a status.
    func wait(for status: String, _ id: String) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            let session = try await send(.GET, "/sessions/\(id)")
            if session.contains(#""status":"\#(status)""#) { return }
            if session.contains(#""status":"error""#) { throw ValidationError(session) }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ValidationError("the session does not become \(status)")
    }

    /// Asks for a change of a session's status.
    func setStatus(_ status: String, of id: String) async throws {
        try await send(.PATCH, "/sessions/\(id)", #"{"status":"\#(status)"}"#)
    }

    /// A session as it is now, or all of them.
    func sessions(_ id: String? = nil) async throws -> Data {
        Data(try await send(.GET, "/sessions" + (id.map { "/\($0)" } ?? "")).utf8)
    }

    func makeSessions(_ count: Int) async throws -> [String] {
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<count { group.addTask { try await makeSession() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Removes a session and waits until it is gone.
    func removeSession(_ id: String) async throws {
        try await send(.DELETE, "/sessions/\(id)")
        while try await send(.GET, "/sessions/\(id)", accepting: [200, 404]).contains(#""status""#) {
            try await Task.sleep(for: .milliseconds(5))
        }
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
        _ body: String? = nil,
        accepting statuses: Set<UInt> = [200, 201]
    ) async throws -> String {
        var request = HTTPClientRequest(url: api + path)
        request.method = method
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await Self.http.execute(request, timeout: .seconds(30))
        let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
        guard statuses.contains(response.status.code) else { throw ValidationError("\(response.status): \(text)") }
        return text
    }
}
