// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotAgent

struct UTF8StreamTests {
    @Test(arguments: 1...7)
    func `text in pieces is the text, whatever the pieces`(size: Int) {
        let bytes = Array("a é € 😀 ".utf8) + [0xFF, 0xC3] + Array("x".utf8) + [0xE2, 0x82]
        var stream = UTF8Stream()
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: size) {
            text += stream.decode(bytes[start..<min(start + size, bytes.count)])
        }
        #expect(text + stream.finish() == String(decoding: bytes, as: UTF8.self))
    }
}
