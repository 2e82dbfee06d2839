// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotServices

struct SecretBoxTests {
    private static let key = String(repeating: "0f", count: 32)

    @Test
    func `opens what it has sealed, in its own place only`() throws {
        let box = try SecretBox(hexKey: Self.key)
        let sealed = try box.seal("secret", for: "sessions/1/secret")
        #expect(!sealed.contains("secret"))
        #expect(try box.open(sealed, for: "sessions/1/secret") == "secret")
        #expect(try box.seal("secret", for: "sessions/1/secret") != sealed)
        #expect(throws: ServerError.self) { try box.open(sealed, for: "sessions/2/secret") }
        #expect(throws: ServerError.self) {
            try box.open(String(sealed.dropLast(4)) + "AAAA", for: "sessions/1/secret")
        }
        #expect(throws: ServerError.self) { try box.open("", for: "sessions/1/secret") }
        let other = try SecretBox(hexKey: String(repeating: "f0", count: 32))
        let error = #expect(throws: ServerError.self) { try other.open(sealed, for: "sessions/1/secret") }
        #expect(error?.message.contains("encryption key has changed") == true)
    }

    @Test(arguments: ["", "0f", key + "0", String(repeating: "g", count: 64), String(repeating: "é", count: 32)])
    func `refuses what is no key`(text: String) {
        #expect(throws: ServerError.self) { try SecretBox(hexKey: text) }
    }

    @Test
    func `makes a key file once, for its owner only`() async throws {
        try await TemporaryDirectory.with { directory in
            let path = directory.file("encryption.key")
            let sealed = try SecretBox(keyFile: path).seal("secret", for: "place")
            #expect(try SecretBox(keyFile: path).open(sealed, for: "place") == "secret")
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
            #expect(try directory.contents() == ["encryption.key"])
            try directory.write("not a key", to: "encryption.key")
            let error = #expect(throws: ServerError.self) { try SecretBox(keyFile: path) }
            #expect(error?.message.contains(path) == true)
        }
    }
}
