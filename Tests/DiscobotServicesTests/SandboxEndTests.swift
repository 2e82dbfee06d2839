// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import Testing

@testable import DiscobotServices

struct SandboxEndTests {
    private static let interruption = ChunkSequence.Ending.interruption

    private func batch(_ lines: String...) -> ChunkBatch {
        ChunkBatch(first: 4, last: 3 + lines.count, lines: lines.joined(separator: "\n"))
    }

    @Test func `an answer that was interrupted says by what, and no other does`() {
        let text = #"{"type":"text-delta","id":"t","delta":"\#(Self.interruption)"}"#
        let broken = batch(text, #"{"type":"error","errorText":"\#(Self.interruption)"}"#)
        let explained = broken.explained(by: "the sandbox was removed")
        #expect(explained.first == 4 && explained.last == 5)
        #expect(explained.lines.hasPrefix(text + "\n"))
        #expect(explained.lines.contains("\(Self.interruption) (the sandbox was removed)"))
        #expect(broken.explained(by: nil) == broken)
        for other in [batch(text), batch(#"{"type":"error","errorText":"no key"}"#), batch("nonsense")] {
            #expect(other.explained(by: "the sandbox was removed") == other)
        }
    }

    @Test func `what has ended a sandbox is told in its own words`() {
        func end(_ status: Sandbox.Status, error: String? = nil, end: String? = nil) -> String? {
            let time = Timestamp(milliseconds: 0)
            return Sandbox?(
                Sandbox(
                    sessionID: "s",
                    projectID: "p",
                    status: status,
                    image: "i",
                    createdAt: time,
                    error: error,
                    end: end
                )
            ).end
        }
        #expect(end(.running) == nil)
        #expect(end(.failed, error: "ran out of memory") == "the sandbox failed: ran out of memory")
        #expect(end(.stopped, end: "was killed") == "the sandbox was killed")
        #expect(end(.stopped) == "the sandbox was stopped")
        #expect(Sandbox?.none.end == "the sandbox was removed")
    }
}
