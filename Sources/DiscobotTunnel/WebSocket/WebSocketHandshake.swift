// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials

/// What the two sides of an upgrade to WebSocket tell each other (RFC 6455 §4).
package enum WebSocketHandshake {
    package static let version = "13"

    /// A key as clients send it.
    package static func randomKey() -> String {
        Data((0..<16).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
    }

    /// Whether a client may send such a key: 16 bytes in base64.
    package static func isKey(_ key: String) -> Bool {
        Data(base64Encoded: key)?.count == 16
    }

    /// What a server answers to a key.
    package static func accept(_ key: String) -> String {
        let hash = Insecure.SHA1.hash(data: Data("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
        return Data(hash).base64EncodedString()
    }
}
