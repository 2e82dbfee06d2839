// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization

/// A frame of an answer's stream.
package struct ChatFrame: Sendable {
    package let id: String?
    /// As it was sent.
    package let text: String

    package var json: JSON { JSON(Data(text.utf8)) }
    package var type: String? { json["type"].string }
    package var isDone: Bool { text == "[DONE]" }
}

/// What came of an answer over one or more connections.
package struct ChatAnswer: Sendable {
    package private(set) var frames: [ChatFrame] = []
    package var status = 0
    package var headers: [String: String] = [:]

    package init() {}

    package mutating func append(_ frame: ChatFrame) { frames.append(frame) }

    package var isDone: Bool { frames.last?.isDone == true }
    package var chunks: [ChatFrame] { frames.filter { !$0.isDone } }
    package var types: [String] { chunks.compactMap(\.type) }
    package var ids: [String] { chunks.compactMap(\.id) }
    /// All text deltas, joined.
    package var text: String {
        chunks.filter { $0.type == "text-delta" }.compactMap { $0.json["delta"].string }.joined()
    }
    /// What clients resume with.
    package var lastID: String? { ids.last }
}

extension TestClient {
    /// The JSON of a chat request.
    package static func message(
        _ text: String,
        session: String,
        id: String = UUID().uuidString,
        workspace: String? = nil,
        agent: String? = nil,
        mode: String? = nil
    ) -> String {
        var fields: [String: Any] = [
            "id": session, "messages": [["id": id, "role": "user", "parts": [["type": "text", "text": text]]]],
        ]
        fields["workspaceId"] = workspace
        fields["agentId"] = agent
        fields["mode"] = mode
        let data = (try? JSONSerialization.data(withJSONObject: fields)) ?? Data()
        return String(decoding: data, as: UTF8.self)
    }

    /// Sends a message; reads the answer to its end, or until `isEnough` says so, and then drops the connection.
    package func chat(
        _ body: String,
        project: String = "local",
        until isEnough: (ChatAnswer) -> Bool = { _ in false }
    ) async throws -> ChatAnswer {
        var request = HTTPClientRequest(url: "\(base)/api/projects/\(project)/chat")
        request.method = .POST
        request.body = .bytes(ByteBuffer(string: body))
        return try await read(request, until: isEnough)
    }

    /// Goes on with an answer.
    package func resume(
        _ session: String,
        after id: String? = nil,
        project: String = "local",
        until isEnough: (ChatAnswer) -> Bool = { _ in false }
    ) async throws -> ChatAnswer {
        var request = HTTPClientRequest(url: "\(base)/api/projects/\(project)/chat/\(session)/stream")
        if let id { request.headers.add(name: "Last-Event-ID", value: id) }
        return try await read(request, until: isEnough)
    }

    /// Answers that go on hold their connections, of which the shared client has few.
    private static let http = HTTPClient(
        eventLoopGroupProvider: .singleton,
        configuration: {
            var configuration = HTTPClient.Configuration()
            configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1024
            return configuration
        }()
    )

    /// Ends without an error where the server breaks the stream off; the answer is not done then.
    private func read(_ request: HTTPClientRequest, until isEnough: (ChatAnswer) -> Bool) async throws -> ChatAnswer {
        let response = try await Self.http.execute(request, deadline: .distantFuture)
        var answer = ChatAnswer()
        answer.status = Int(response.status.code)
        answer.headers = Dictionary(
            response.headers.map { ($0.name.lowercased(), $0.value) },
            uniquingKeysWith: { $1 }
        )
        var pending = Data()
        do {
            for try await buffer in response.body {
                pending.append(contentsOf: buffer.readableBytesView)
                while let end = pending.firstRange(of: Data("\n\n".utf8)) {
                    if let frame = Self.frame(pending[..<end.lowerBound]) { answer.append(frame) }
                    pending = Data(pending[end.upperBound...])
                    if answer.isDone || isEnough(answer) { return answer }
                }
            }
        } catch let error where !(error is CancellationError) {}
        return answer
    }

    private static func frame(_ bytes: Data) -> ChatFrame? {
        let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
        func value(_ field: String) -> String? {
            lines.first { $0.hasPrefix(field) }.map { String($0.dropFirst(field.count)) }
        }
        return value("data: ").map { ChatFrame(id: value("id: "), text: $0) }
    }

    /// Makes a workspace whose sandboxes have no network, on the provider local; returns its id.
    package func makeChatWorkspace(_ path: String, network: String = "none", provider: String = "local") async throws
        -> String
    {
        let workspace = try await makeWorkspace(
            #"{"path":"\#(path)","network":"\#(network)","provider":"\#(provider)"}"#
        )
        guard workspace["status"].string == "ready", let id = workspace["id"].string else {
            throw Shell.Failed(description: "the workspace is not ready: \(workspace)")
        }
        return id
    }

    /// Makes an agent; returns its id.
    package func makeAgent(_ type: String, project: String = "local") async throws -> String {
        let answer = try await post(
            "/api/projects/\(project)/agents",
            #"{"name":"\#(type)","agentType":"\#(type)"}"#
        )
        guard let id = answer.json["id"].string else { throw Shell.Failed(description: answer.text) }
        return id
    }

    /// Waits until a session has one of these statuses; returns it.
    @discardableResult
    package func session(
        _ id: String,
        becoming statuses: Set<String>,
        project: String = "local"
    ) async throws -> JSON {
        let path = "/api/projects/\(project)/sessions/\(id)"
        return try await follow("/api/projects/\(project)/events?after=0") { _ in
            let session = try await get(path).json
            return statuses.contains(session["status"].string ?? "") ? session : nil
        }
    }

    /// Removes a session and waits until it is gone with its sandbox.
    package func removeSession(_ id: String, project: String = "local") async throws {
        let path = "/api/projects/\(project)/sessions/\(id)"
        _ = try await delete(path)
        let _: Bool = try await follow("/api/projects/\(project)/events?after=0") { _ in
            try await get(path).status == 404 ? true : nil
        }
    }
}
