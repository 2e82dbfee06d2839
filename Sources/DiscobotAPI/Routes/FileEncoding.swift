// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials

/// How the bytes of a file travel in JSON.
enum FileEncoding: String, Codable {
    case utf8, base64

    /// Text as it is, anything else as base64.
    static func encode(_ bytes: [UInt8]) -> (content: String, encoding: FileEncoding) {
        if !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) { return (text, .utf8) }
        return (Data(bytes).base64EncodedString(), .base64)
    }

    /// Throws `invalidArgument` for text that is not base64.
    func decode(_ content: String) throws -> [UInt8] {
        guard self == .base64 else { return Array(content.utf8) }
        guard let data = Data(base64Encoded: content) else {
            throw ServerError.invalidArgument("content is not base64")
        }
        return Array(data)
    }
}
