// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
package import DiscobotAgentAPI
import DiscobotModel
import NIOCore
import NIOHTTP1

// The services and hooks of the working copy; see `ServiceContract.swift` and `HookContract.swift`.
extension AgentClient {
    package func services() async throws -> [ServiceInfo] {
        let response: ServicesResponse = try await call(.GET, "/services")
        return response.services
    }

    /// Throws an error of status 404, 409 or 400 when it is unknown, runs already, or cannot be started.
    package func startService(_ id: String) async throws -> ServiceResponse {
        try await call(.POST, "/services/\(id.percentEncoded)/start")
    }

    /// Throws an error of status 404 or 400 when it is unknown or does not run.
    package func stopService(_ id: String) async throws -> ServiceResponse {
        try await call(.POST, "/services/\(id.percentEncoded)/stop")
    }

    /// Gives `handle` the frames of a service's output as they come, whole ones, and comments in between; returns when the
    /// agent says that nothing follows.
    ///
    /// - Parameter lastEventID: the id of the last frame that is known.
    package func followServiceOutput(
        _ id: String,
        after lastEventID: String?,
        handle: ([UInt8]) async throws -> Void
    ) async throws {
        var request = request(.GET, "/services/\(id.percentEncoded)/output")
        if let lastEventID { request.headers.add(name: "Last-Event-ID", value: lastEventID) }
        let response = try await execute(request, deadline: .distantFuture)
        guard response.status == .ok else { throw await AgentError(response) }
        var frames = EventFrames()
        do {
            for try await buffer in response.body {
                let whole = try frames.read(buffer.readableBytesView)
                if !whole.isEmpty { try await handle(whole) }
                if frames.isDone { return }
            }
        } catch  where !(error is AgentError || error is ServerError || error is CancellationError) {
            throw Self.unreachable(error, otherwise: Self.brokenOff.message)
        }
        throw Self.brokenOff
    }

    package func hooks() async throws -> HooksStatusResponse {
        try await call(.GET, "/hooks/status")
    }

    package func hookOutput(_ id: String) async throws -> HookOutputResponse {
        try await call(.GET, "/hooks/\(id.percentEncoded)/output")
    }

    /// Returns when the hook has ended, which may take minutes.
    package func rerunHook(_ id: String) async throws -> HookRunResponse {
        try await call(.POST, "/hooks/\(id.percentEncoded)/rerun", timeout: .seconds(360))
    }
}

/// Cuts an agent's event stream into frames of ids, data and comments; nothing else is passed on.
struct EventFrames {
    /// Whether the agent has said that nothing follows.
    private(set) var isDone = false
    private var line: [UInt8] = []
    private var frame: [UInt8] = []
    private static let frameLimit = 1 << 20

    /// The frames that `bytes` complete, without the last one, which says that nothing follows.
    mutating func read(_ bytes: some Sequence<UInt8>) throws -> [UInt8] {
        var whole: [UInt8] = []
        for byte in bytes where !isDone {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            whole += take()
            line.removeAll(keepingCapacity: true)
        }
        guard line.count + frame.count <= Self.frameLimit else {
            throw AgentError(.invalidAnswer, "the sandbox's agent sent an event that is too large")
        }
        return whole
    }

    /// The frame that the line ends; empty for none.
    private mutating func take() -> [UInt8] {
        if line.isEmpty {
            defer { frame.removeAll(keepingCapacity: true) }
            return frame.isEmpty ? [] : frame + [UInt8(ascii: "\n")]
        }
        // A carriage return would begin a field of its own for those who read the stream.
        guard !line.contains(where: { $0 < 0x20 }) else { return [] }
        if line.elementsEqual(Array("data: [DONE]".utf8)) {
            isDone = true
        } else if [":", "id: ", "data: "].contains(where: { line.starts(with: $0.utf8) }) {
            frame += line + [UInt8(ascii: "\n")]
        }
        return []
    }
}
