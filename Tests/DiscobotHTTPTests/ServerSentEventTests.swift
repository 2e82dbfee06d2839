// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import Testing

struct ServerSentEventTests {
    private func text(_ event: ServerSentEvent) -> String {
        String(decoding: event.bytes, as: UTF8.self)
    }

    @Test
    func `has a line for each field and an empty one at the end`() {
        #expect(text(ServerSentEvent(id: "7", event: "news", data: "{}")) == "id: 7\nevent: news\ndata: {}\n\n")
        #expect(text(ServerSentEvent(data: "x")) == "data: x\n\n")
    }

    @Test
    func `no line break of the data ends the frame`() {
        #expect(text(ServerSentEvent(data: "a\nb\r\nc\n\nd")) == "data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n")
        #expect(text(ServerSentEvent(data: "")) == "data: \n\n")
        #expect(text(ServerSentEvent(data: "a\rb")) == "data: a\ndata: b\n\n")
    }

    @Test(arguments: ["\u{2028}", "\u{2029}", "\u{85}", "\u{B}", "\u{C}"])
    func `other line separators are data`(separator: String) {
        #expect(text(ServerSentEvent(data: "a\(separator)b")) == "data: a\(separator)b\n\n")
    }
}
