// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Makes sessions and chats in them.
struct ChatClient: Sendable {
    private let api: String
    private let workspace: String
    private let agent: String
    private let http: HTTPClient

    init(port: Int, workspace: String, agent: String) {
        api = "http://127.0.0.1:\(port)/api/projects/local"
        self.workspace = workspace
        self.agent = agent
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 4096
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// One frame of an answer.
    struct Frame {
        let id: String?
        let data: String

        /// The times that an agent has printed, in seconds since 1970.
        var stamps: [Double] {
            guard data.contains("text-delta") else { return [] }
            return data.split { !$0.isNumber }.filter { $0.count == 19 }.compactMap { Double($0).map { $0 / 1e9 } }
        }
    }

    /// Makes a session and waits for it to be ready.
    func makeSession() async throws -> String {
        let id = UUID().uuidString.lowercased()
        try await send(.POST, "/sessions", #"{"id":"\#(id)","workspaceId":"\#(workspace)","agentId":"\#(agent)"}"#)
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            let session = try await send(.GET, "/sessions/\(id)")
            if session.contains(#""status":"ready""#) { return id }
            if session.contains(#""status":"error""#) { throw ValidationError(session) }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ValidationError("the session does not get ready")
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

    /// Sends a script as a message and hands over each frame of the answer, up to its end.
    func chat(_ script: String, in session: String, _ frame: @Sendable (Frame) -> Void) async throws {
        let part = ["type": "text", "text": script]
        let message: [String: Any] = ["id": UUID().uuidString, "role": "user", "parts": [part]]
        let body = try JSONSerialization.data(withJSONObject: ["id": session, "messages": [message]])
        var request = HTTPClientRequest(url: api + "/chat")
        request.method = .POST
        request.body = .bytes(ByteBuffer(bytes: body))
        try await read(request, frame)
    }

    /// Goes on with the answer of a session.
    func stream(_ session: String, after id: String? = nil, _ frame: @Sendable (Frame) -> Void) async throws {
        var request = HTTPClientRequest(url: api + "/chat/\(session)/stream")
        if let id { request.headers.add(name: "Last-Event-ID", value: id) }
        try await read(request, frame)
    }

    private func read(_ request: HTTPClientRequest, _ frame: @Sendable (Frame) -> Void) async throws {
        let response = try await http.execute(request, deadline: .distantFuture)
        guard response.status == .ok else { throw ValidationError("the server answered \(response.status)") }
        var pending: [UInt8] = []
        for try await buffer in response.body {
            pending.append(contentsOf: buffer.readableBytesView)
            var start = pending.startIndex
            var index = start
            while index + 1 < pending.endIndex {
                if pending[index] == 10, pending[index + 1] == 10 {
                    frame(Self.frame(pending[start..<index]))
                    index += 1
                    start = index + 1
                }
                index += 1
            }
            pending.removeSubrange(..<start)
        }
    }

    private static func frame(_ bytes: ArraySlice<UInt8>) -> Frame {
        let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
        func value(_ field: String) -> String? {
            lines.first { $0.hasPrefix(field) }.map { String($0.dropFirst(field.count)) }
        }
        return Frame(id: value("id: "), data: value("data: ") ?? "")
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
        let response = try await http.execute(request, timeout: .seconds(30))
        let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
        guard statuses.contains(response.status.code) else { throw ValidationError("\(response.status): \(text)") }
        return text
    }
}
