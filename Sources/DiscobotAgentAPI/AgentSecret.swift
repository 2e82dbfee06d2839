// SPDX-License-Identifier: Apache-2.0

import Crypto

/// What the server must know to use a sandbox's agent. The sandbox itself knows only salt and hash.
package struct AgentSecret: Sendable, Equatable {
    /// 64 hexadecimal digits.
    package let value: String

    package init(value: String) {
        self.value = value
    }

    package static func random() -> AgentSecret {
        AgentSecret(value: SymmetricKey(size: .bits256).withUnsafeBytes { hex($0) })
    }

    /// `<salt>:<sha256 of salt and secret>`. The salt follows from the secret, so that the same one always has the same
    /// verifier; nobody guesses either.
    package func verifier() -> String {
        let salt = Array(Self.digest(salt: Array("salt".utf8), value).prefix(16))
        return Self.hex(salt) + ":" + Self.hex(Self.digest(salt: salt, value))
    }

    /// Whether `candidate` is the secret that `verifier` was made of; takes the same time for any candidate.
    package static func isValid(_ candidate: some StringProtocol, for verifier: String) -> Bool {
        let parts = verifier.split(separator: ":")
        guard parts.count == 2, let salt = bytes(parts[0]), let expected = bytes(parts[1]) else { return false }
        let actual = Array(digest(salt: salt, candidate))
        guard actual.count == expected.count else { return false }
        return zip(actual, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func digest(salt: [UInt8], _ secret: some StringProtocol) -> SHA256.Digest {
        SHA256.hash(data: salt + Array(secret.utf8))
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
            as: UTF8.self
        )
    }

    private static func bytes(_ hex: Substring) -> [UInt8]? {
        guard hex.utf8.count.isMultiple(of: 2) else { return nil }
        let digits = hex.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == hex.utf8.count else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
