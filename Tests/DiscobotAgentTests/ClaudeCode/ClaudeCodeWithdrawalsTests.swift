// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotAgent

@Suite(.timeLimit(.minutes(10)))
struct ClaudeCodeWithdrawalsTests {
    @Test
    func `a request goes on until it is withdrawn`() async throws {
        let withdrawals = ClaudeCodeWithdrawals()
        #expect(try await withdrawals.unlessWithdrawn("a") { 1 } == 1)
        let (begun, continuation) = AsyncStream.makeStream(of: Void.self)
        async let waiting = withdrawals.unlessWithdrawn("b") {
            continuation.finish()
            try await Task.sleep(for: .seconds(600))
            return 1
        }
        for await _ in begun {}
        withdrawals.withdraw("b")
        #expect(try await waiting == nil)
        withdrawals.withdraw("c")
        #expect(try await withdrawals.unlessWithdrawn("c") { 1 } == nil)
    }

    @Test
    func `the program's line is understood`() {
        let line = #"{"request_id":"r1","type":"control_cancel_request"}"#
        #expect(ClaudeCodeLine(Array(line.utf8)) == .withdrawn(requestID: "r1"))
    }
}
