// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import Foundation
import Hummingbird
import NIOCore

/// A request as handlers see it: somebody asks something, with parameters and a body that are checked on reading.
struct APIRequest: Sendable {
    /// JSON bodies above this are refused unless a handler allows more.
    static let defaultBodyLimit = 1 << 20

    let user: User
    private(set) var raw: Request
    let parameters: Parameters
    let channel: any Channel

    /// A parameter of the path; throws `notFound`, because nothing can have such an id, when it is empty or not text.
    func parameter(_ name: String) throws -> String {
        guard let value = parameters.get(name)?.removingPercentEncoding, !value.isEmpty, !value.utf8.contains(0) else {
            throw ServerError.notFound("not found: \(name)")
        }
        return value
    }

    /// The id of a noun in the path.
    func id<Noun>(_ name: String) throws -> ID<Noun> {
        ID(rawValue: try parameter(name))
    }

    /// A parameter of the query; nil when it is absent or empty. Throws `invalidArgument` for what no parameter may hold.
    func query(_ name: String) throws -> String? {
        guard let value = raw.uri.queryParameters.get(name), !value.isEmpty else { return nil }
        guard !value.utf8.contains(0) else { throw ServerError.invalidArgument("\(name) must not contain NUL") }
        return value
    }

    /// All values of a parameter that may be repeated.
    func queryList(_ name: String) -> [String] {
        raw.uri.queryParameters[values: name[...]].map(String.init)
    }

    /// Whether a switch of the query is on.
    func flag(_ name: String) throws -> Bool {
        switch try query(name) {
        case nil, "false", "0": false
        case "true", "1": true
        default: throw ServerError.invalidArgument("\(name) must be true or false")
        }
    }

    /// How many elements of a list are wanted.
    func limit(default standard: Int = PageRequest.maximumLimit) throws -> Int {
        guard let text = try query("limit") else { return standard }
        guard let limit = Int(text), (1...PageRequest.maximumLimit).contains(limit) else {
            throw ServerError.invalidArgument("limit must be a number from 1 to \(PageRequest.maximumLimit)")
        }
        return limit
    }

    /// Reads the body into memory, as answers that are streams need it; throws `tooLarge`.
    mutating func collectBody(limit: Int) async throws {
        raw = try await JSONBody.collect(raw, limit: limit)
    }

    /// The JSON body; throws `invalidArgument` or `tooLarge`.
    func body<Value: Decodable>(_ type: Value.Type, limit: Int = defaultBodyLimit) async throws -> Value {
        try await JSONBody.decode(type, from: raw.body, limit: limit)
    }
}

/// A value that a request must have, unless it is missing or blank; throws `invalidArgument`.
func required(_ value: String?, _ message: String) throws -> String {
    guard let value, !value.allSatisfy(\.isWhitespace) else { throw ServerError.invalidArgument(message) }
    return value
}

/// A text that is stored for every thing of its kind, unless it is too long; throws `invalidArgument`.
func bounded(_ value: String?, _ name: String, limit: Int = 1024) throws -> String? {
    guard let value, value.utf8.count > limit else { return value }
    throw ServerError.invalidArgument("\(name) is longer than \(limit) bytes")
}
