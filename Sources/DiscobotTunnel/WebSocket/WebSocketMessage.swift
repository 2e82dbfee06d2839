// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A whole message, whatever frames it came in.
package struct WebSocketMessage: Sendable, Equatable {
    package enum Kind: Sendable {
        /// The bytes are UTF-8.
        case text
        case binary
    }

    package let kind: Kind
    package let bytes: ByteBuffer

    package init(_ kind: Kind, _ bytes: ByteBuffer) {
        self.kind = kind
        self.bytes = bytes
    }

    package static func text(_ text: String) -> WebSocketMessage { WebSocketMessage(.text, ByteBuffer(string: text)) }
}

/// How a side ends the connection (RFC 6455 §7.4).
package struct WebSocketClose: Sendable, Equatable {
    package static let normal = 1000
    package static let goingAway = 1001
    package static let protocolError = 1002
    package static let unsupportedData = 1003
    package static let invalidText = 1007
    package static let policyViolation = 1008
    package static let tooLarge = 1009
    package static let internalError = 1011

    /// Nil when the side said none.
    package let code: Int?
    /// At most 123 bytes; more is cut off.
    package let reason: String

    package init(_ code: Int?, _ reason: String = "") {
        self.code = code
        self.reason = reason
    }

    /// Whether a peer may send the code: some are for inside a program only, most are nobody's.
    static func isAllowed(_ code: Int) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// What a peer has done against the protocol, and how the connection ends for it.
struct WebSocketViolation: Error, Equatable {
    let close: WebSocketClose

    init(_ code: Int, _ reason: String) {
        close = WebSocketClose(code, reason)
    }
}
