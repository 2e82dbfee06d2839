// SPDX-License-Identifier: Apache-2.0

import Crypto
import DiscobotModel
import Foundation

/// Seals secrets before they are stored: AES-256-GCM, bound to the row and field that they are stored in.
///
/// A sealed text is `v1:<key id>:<base64 of nonce, ciphertext and tag>`; the key id tells which key opens it.
package struct SecretBox: Sendable {
    private let key: SymmetricKey
    private let keyID: String

    /// - Parameter hexKey: 64 hexadecimal digits; throws `invalidArgument` for anything else.
    package init(hexKey: String) throws {
        let digits = hexKey.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == 64, hexKey.utf8.count == 64 else {
            throw ServerError.invalidArgument("an encryption key has 64 hexadecimal digits")
        }
        let bytes = stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        key = SymmetricKey(data: bytes)
        keyID = SHA256.hash(data: bytes).prefix(4).map { String(format: "%02x", $0) }.joined()
    }

    /// Reads the key of a file that only its owner may read, and makes both when there is none; throws `ServerError`.
    package init(keyFile path: String) throws {
        if !FileManager.default.fileExists(atPath: path) { try Self.makeKeyFile(path) }
        do {
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try self.init(hexKey: text.trimmingCharacters(in: .whitespacesAndNewlines))
        } catch {
            throw ServerError(.unavailable, "the encryption key in \(path) cannot be read", cause: error)
        }
    }

    private static func makeKeyFile(_ path: String) throws {
        let key = SymmetricKey(size: .bits256).withUnsafeBytes { $0.map { String(format: "%02x", $0) }.joined() }
        // Whoever comes second uses the key of the first; link fails where the file exists.
        let draft = path + ".\(ID<SecretBox>.random())"
        defer { unlink(draft) }
        guard
            FileManager.default.createFile(
                atPath: draft,
                contents: Data((key + "\n").utf8),
                attributes: [.posixPermissions: 0o600]
            ), link(draft, path) == 0 || errno == EEXIST
        else {
            throw ServerError(.unavailable, "the encryption key cannot be stored in \(path); check who may write there")
        }
    }

    /// - Parameter place: the row and field, which opening must name again.
    package func seal(_ secret: String, for place: String) throws -> String {
        let sealed = try AES.GCM.seal(Data(secret.utf8), using: key, authenticating: Data(place.utf8))
        guard let combined = sealed.combined else { throw ServerError(.internal, "sealing a secret failed") }
        return "v1:\(keyID):\(combined.base64EncodedString())"
    }

    /// Throws `operationFailed` for what was sealed with another key or for another place.
    package func open(_ sealed: String, for place: String) throws -> String {
        let parts = sealed.split(separator: ":", maxSplits: 2)
        guard parts.count == 3, parts[0] == "v1", parts[1] == keyID, let data = Data(base64Encoded: String(parts[2]))
        else { throw Self.unreadable(nil) }
        do {
            let box = try AES.GCM.SealedBox(combined: data)
            return String(decoding: try AES.GCM.open(box, using: key, authenticating: Data(place.utf8)), as: UTF8.self)
        } catch {
            throw Self.unreadable(error)
        }
    }

    /// A text that only this key can make for `place`, to be part of an address: letters and digits that no case changes.
    package func code(for place: String) -> String {
        Base32.encode(HMAC<SHA256>.authenticationCode(for: Data(place.utf8), using: codeKey).prefix(16))
    }

    package func isValid(code: String, for place: String) -> Bool {
        let expected = Array(self.code(for: place).utf8)
        let given = Array(code.lowercased().utf8)
        guard given.count == expected.count else { return false }
        // As long for any code, so that time does not tell how much of one is right.
        return zip(given, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// Not the key that seals.
    private var codeKey: SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: key, info: Data("discobot codes".utf8), outputByteCount: 32)
    }

    private static func unreadable(_ cause: (any Error)?) -> ServerError {
        ServerError(.operationFailed, "a stored secret cannot be opened; the encryption key has changed", cause: cause)
    }
}
