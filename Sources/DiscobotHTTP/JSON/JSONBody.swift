// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
package import Hummingbird
import NIOCore

/// Reads request bodies; whatever is wrong with one becomes a `ServerError` that names the field.
package enum JSONBody {
    private static let decoder = JSONDecoder()

    /// Throws `invalidArgument` or `tooLarge`.
    package static func decode<Value: Decodable>(_ type: Value.Type, from body: RequestBody, limit: Int) async throws
        -> Value
    {
        let buffer = try await collect(body, limit: limit)
        guard !containsEscapedNUL(buffer.readableBytesView) else {
            throw ServerError.invalidArgument("Invalid request body: NUL characters are not allowed")
        }
        do {
            return try decoder.decode(type, from: Data(buffer.readableBytesView))
        } catch let error as DecodingError {
            throw ServerError(.invalidArgument, "Invalid request body" + complaint(about: error), cause: error)
        }
    }

    /// The request with its whole body in memory; throws `tooLarge`.
    ///
    /// Who answers with a stream reads on in the connection to see it close, and must not look for a body that has been
    /// read already.
    package static func collect(_ request: Request, limit: Int) async throws -> Request {
        var request = request
        do {
            _ = try await request.collectBody(upTo: limit)
            return request
        } catch is NIOTooManyBytesError {
            throw tooLarge(limit)
        }
    }

    private static func collect(_ body: RequestBody, limit: Int) async throws -> ByteBuffer {
        do {
            return try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw tooLarge(limit)
        }
    }

    private static func tooLarge(_ limit: Int) -> ServerError {
        ServerError(.tooLarge, "the request body is larger than \(limit) bytes")
    }

    private static func complaint(about error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context): ": \(path(context.codingPath + [key])) is required"
        case .valueNotFound(_, let context) where !context.codingPath.isEmpty:
            ": \(path(context.codingPath)) must not be null"
        case .typeMismatch(let type, let context) where !context.codingPath.isEmpty:
            ": \(path(context.codingPath)) must be \(name(of: type))"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            ": \(path(context.codingPath)) has a value that is not allowed"
        default: ""
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.reduce(into: "") { path, key in
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "a boolean"
        case is any BinaryInteger.Type, is any BinaryFloatingPoint.Type: "a number"
        case is [Any].Type: "a list"
        default: "an object"
        }
    }

    /// Text with a NUL cannot be stored everywhere, and nobody sends one in good faith.
    private static func containsEscapedNUL(_ bytes: ByteBufferView) -> Bool {
        let backslash = UInt8(ascii: "\\")
        let escape = Array("u0000".utf8)
        var index = bytes.startIndex
        while let found = bytes[index...].firstIndex(of: backslash) {
            let next = found + 1
            if bytes[next...].starts(with: escape) { return true }
            // What follows a backslash is escaped, and may be a backslash itself.
            index = min(next + 1, bytes.endIndex)
        }
        return false
    }
}
