// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotAgent

/// The modes that output leaves a terminal in, byte by byte.
struct TerminalModesTests {
    @Test(arguments: [
        ("plain\r\n\u{1B}[31m\u{1B}[2J", "", false),
        ("\u{1B}[?1049h\u{1B}[?25l", "\u{1B}[?1049h\u{1B}[?25l", true),
        ("\u{1B}[?1;2004h", "\u{1B}[?1h\u{1B}[?2004h", false),
        ("\u{1B}[?25l\u{1B}[?7l\u{1B}[?25h", "\u{1B}[?7l\u{1B}[?25h", false),
        ("\u{1B}[?1049h\u{1B}[?1049l", "\u{1B}[?1049l", false),
        ("\u{1B}[?1049h\u{1B}c", "", false),
        ("\u{1B}[4h\u{1B}[>1h\u{1B}[?xh\u{1B}[?25\u{18}h", "", false),
        ("\u{1B}[?10\u{1B}[?47hx", "\u{1B}[?47h", true),
    ])
    func `modes are kept in the order of their last change`(text: String, restoration: String, hasOtherScreen: Bool) {
        for size in [1, 3, 100] {
            var modes = TerminalModes()
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                modes.read(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(modes.restoration == restoration, "\(text.debugDescription)")
            #expect(modes.hasOtherScreen == hasOtherScreen)
        }
    }

    @Test
    func `no more modes are kept than there are`() {
        var modes = TerminalModes()
        for number in 1...1000 { modes.read(Array("\u{1B}[?\(number)h".utf8)[...]) }
        #expect(modes.restoration.hasSuffix("\u{1B}[?1000h"))
        #expect(modes.restoration.utf8.count < 1000)
        modes.read(Array(("\u{1B}[?" + String(repeating: "1;", count: 5000) + "77h").utf8)[...])
        #expect(!modes.restoration.contains("?77h"))
    }
}
