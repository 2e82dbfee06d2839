// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import Foundation
import Testing

/// Messages as responses write them.
struct MessageJSONTests {
    @Test func `every part comes back from its JSON`() throws {
        var tool = ToolPart(toolCallId: "t", toolName: "Bash", title: "List", state: .outputAvailable)
        tool.input = ["command": "ls"]
        tool.output = "a"
        let message = UIMessage(
            id: "m",
            role: .assistant,
            parts: [
                .text("a"), .reasoning("b"), .file(url: "data:,x", filename: "x", mediaType: "text/plain"),
                .dynamicTool(tool), .other(["type": "data-x", "data": .number(1)]),
            ]
        )
        let bytes = try JSONEncoding.bytes(of: message)
        #expect(try JSONDecoder().decode(UIMessage.self, from: Data(bytes)) == message)
    }
}
