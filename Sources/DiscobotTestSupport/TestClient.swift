// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
package import Foundation
package import HTTPTypes
import NIOCore
import NIOHTTP1

/// Speaks to a server over HTTP, as any client would.
package struct TestClient: Sendable {
    package let base: String

    package init(port: Int) {
        base = "http://127.0.0.1:\(port)"
    }

    package struct Answer: Sendable {
        package let status: Int
        package let headers: [String: String]
        package let body: Data

        package var json: JSON { JSON(body) }
        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// Sends a request; `body` is JSON text.
    package func send(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ body: String? = nil,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send(method, path, bytes: body.map { Array($0.utf8) }, headers: headers)
    }

    package func send(
        _ method: HTTPRequest.Method,
        _ path: String,
        bytes: [UInt8]?,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: base + path)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let bytes { request.body = .bytes(ByteBuffer(bytes: bytes)) }
        let response = try await Self.execute(request)
        let body = try await response.body.collect(upTo: 64 << 20)
        let fields = response.headers.map { ($0.name.lowercased(), $0.value) }
        return Answer(
            status: Int(response.status.code),
            headers: Dictionary(fields, uniquingKeysWith: { $1 }),
            body: Data(body.readableBytesView)
        )
    }

    /// A connection of the pool may be of an earlier server that had the same port; then nothing has been sent.
    private static func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        do {
            return try await HTTPClient.shared.execute(request, timeout: .seconds(240))
        } catch ChannelError.ioOnClosedChannel {
            return try await HTTPClient.shared.execute(request, timeout: .seconds(240))
        }
    }

    package func get(_ path: String) async throws -> Answer { try await send(.get, path) }
    package func post(_ path: String, _ body: String) async throws -> Answer { try await send(.post, path, body) }
    package func put(_ path: String, _ body: String) async throws -> Answer { try await send(.put, path, body) }
    package func delete(_ path: String) async throws -> Answer { try await send(.delete, path) }
}

// MARK: - Events and what is waited for by them

extension TestClient {
    package struct StreamedEvent: Sendable {
        package let id: String?
        package let type: String
        package let data: JSON
    }

    /// Follows an event stream and hands each event to `body` until that returns a value.
    package func follow<Value: Sendable>(
        _ path: String,
        headers: [String: String] = [:],
        until body: (StreamedEvent) async throws -> Value?
    ) async throws -> Value {
        var request = HTTPClientRequest(url: base + path)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await HTTPClient.shared.execute(request, deadline: .distantFuture)
        var pending = ""
        for try await buffer in response.body {
            pending += String(buffer: buffer)
            while let end = pending.range(of: "\n\n") {
                let frame = String(pending[..<end.lowerBound])
                pending = String(pending[end.upperBound...])
                if let event = Self.event(frame), let value = try await body(event) { return value }
            }
        }
        throw Shell.Failed(description: "the stream \(path) ended early")
    }

    private static func event(_ frame: String) -> StreamedEvent? {
        let fields = frame.split(separator: "\n").map { $0.split(separator: ": ", maxSplits: 1).map(String.init) }
            .filter { $0.count == 2 }
        func value(_ name: String) -> String? { fields.first { $0[0] == name }?[1] }
        guard let type = value("event") else { return nil }
        return StreamedEvent(id: value("id"), type: type, data: JSON(Data((value("data") ?? "").utf8)))
    }

    /// Waits for a workspace to be `ready` or in `error`; returns it.
    @discardableResult
    package func settled(workspace id: String, project: String = "local") async throws -> JSON {
        let path = "/api/projects/\(project)/workspaces/\(id)"
        return try await follow("/api/projects/\(project)/events?after=0") { _ in
            let workspace = try await get(path).json
            return ["ready", "error"].contains(workspace["status"].string) ? workspace : nil
        }
    }

    /// Creates a workspace and waits until it is settled.
    package func makeWorkspace(_ body: String, project: String = "local") async throws -> JSON {
        let created = try await post("/api/projects/\(project)/workspaces", body)
        guard created.status == 201, let id = created.json["id"].string else {
            throw Shell.Failed(description: "workspace not created: \(created.text)")
        }
        return try await settled(workspace: id, project: project)
    }
}
