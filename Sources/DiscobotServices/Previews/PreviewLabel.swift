// SPDX-License-Identifier: Apache-2.0

import Crypto
package import DiscobotModel

/// The first label of a service's host name: `<session>-svc-<service>`.
///
/// Host names know no case and at most 63 characters in a label, and the first `-svc-` ends the session. A session whose id
/// does not fit stands there with an alias, `h-` and 24 characters of a hash.
package struct PreviewLabel: Sendable, Equatable {
    private static let separator = "-svc-"
    private static let limit = 63

    /// The session's id in lower case, or its alias.
    package let session: String
    package let service: String

    /// Nil for the name of any other host.
    package init?(host: String) {
        let label = host.prefix { $0 != "." && $0 != ":" }.lowercased()
        guard label.utf8.allSatisfy(Self.isAllowed), let range = label.firstRange(of: Self.separator),
            range.lowerBound > label.startIndex, range.upperBound < label.endIndex
        else { return nil }
        session = String(label[..<range.lowerBound])
        service = String(label[range.upperBound...])
    }

    /// Nil when no label can hold the service's id.
    package init?(session: ID<Session>, service: String) {
        let plain = session.rawValue
        let fits = plain.utf8.count + Self.separator.utf8.count + service.utf8.count <= Self.limit
        self.session = fits && Self.isPlain(plain) ? plain : Self.alias(of: session)
        self.service = service
        guard PreviewLabel(host: text) == self, text.utf8.count <= Self.limit else { return nil }
    }

    package var text: String { session + Self.separator + service }

    private static func isPlain(_ session: String) -> Bool {
        session == session.lowercased() && !session.hasPrefix("-") && !session.hasPrefix("xn--")
            && !(session + separator).dropLast().contains(separator) && !isAlias(session)
    }

    /// Whether the session is named by a hash.
    package var isAlias: Bool { Self.isAlias(session) }

    private static func isAlias(_ session: String) -> Bool {
        session.utf8.count == 26 && session.hasPrefix("h-")
            && session.utf8.dropFirst(2).allSatisfy { Base32.alphabet.contains($0) }
    }

    package static func alias(of session: ID<Session>) -> String {
        "h-" + Base32.encode(SHA256.hash(data: Array(session.rawValue.utf8)).prefix(15))
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// RFC 4648 §6 in lower case and without padding, for what has to survive in host names.
enum Base32 {
    static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        var (bits, count) = (0, 0)
        for byte in bytes {
            bits = (bits << 8 | Int(byte)) & 0xFFFF
            count += 8
            while count >= 5 {
                count -= 5
                text.append(alphabet[bits >> count & 31])
            }
        }
        if count > 0 { text.append(alphabet[bits << (5 - count) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }
}
