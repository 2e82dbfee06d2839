// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

/// Cursors are opaque to clients: base64url of what continues the list.
enum OpaqueCursor {
    static func encode(_ text: String) -> String {
        Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing(
            "=",
            with: ""
        )
    }

    /// Throws `invalidArgument` for text that is no cursor.
    static func decode(_ cursor: String) throws -> (String, String) {
        let padding = String(repeating: "=", count: (4 - cursor.utf8.count % 4) % 4)
        let base64 = cursor.replacing("-", with: "+").replacing("_", with: "/") + padding
        let parts = Data(base64Encoded: base64).map { String(decoding: $0, as: UTF8.self) }?
            .split(separator: ":", maxSplits: 1)
        guard let parts, parts.count == 2 else { throw invalid }
        return (String(parts[0]), String(parts[1]))
    }

    static let invalid = ServerError.invalidArgument("cursor is not one that this list has answered with")
}

extension PageCursor {
    var text: String { OpaqueCursor.encode("\(time.milliseconds):\(id)") }

    init(text: String) throws {
        let (time, id) = try OpaqueCursor.decode(text)
        guard let milliseconds = Int64(time) else { throw OpaqueCursor.invalid }
        self.init(time: Timestamp(milliseconds: milliseconds), id: id)
    }
}

extension APIRequest {
    /// The part of a list that the query asks for.
    func page() throws -> PageRequest {
        PageRequest(limit: try limit(), after: try query("cursor").map(PageCursor.init(text:)))
    }
}
