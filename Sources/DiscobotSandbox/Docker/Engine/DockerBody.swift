// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import DiscobotModel
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// What a request to an engine carries.
enum DockerBody: Sendable {
    case none
    case json(JSONValue)
    case tar(ByteBuffer)
    /// A tar that is read while it is sent.
    case stream(AsyncThrowingStream<ByteBuffer, any Error>)

    func add(to request: inout HTTPClientRequest) throws {
        switch self {
        case .none: return
        case .json(let value):
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(value)))
        case .tar(let buffer):
            request.headers.add(name: "Content-Type", value: "application/x-tar")
            request.body = .bytes(buffer)
        case .stream(let chunks):
            request.headers.add(name: "Content-Type", value: "application/x-tar")
            request.body = .stream(chunks, length: .unknown)
        }
    }
}
