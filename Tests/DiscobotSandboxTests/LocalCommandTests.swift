// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import DiscobotSandbox

/// Small programs of the system.
@Suite(.timeLimit(.minutes(10)))
struct LocalCommandTests {
    @Test
    func `a program that does not read what it is told does no harm`() async throws {
        let text = String(repeating: "x", count: 1 << 20)
        let deaf = try #require(try await LocalCommand.result(of: "true", [], input: text))
        #expect(deaf.isSuccess)
        let failed = try #require(try await LocalCommand.result(of: "false", [], input: text))
        #expect(!failed.isSuccess)
        let attentive = try #require(try await LocalCommand.result(of: "wc", ["-c"], input: text))
        #expect(attentive.text == "\(1 << 20)\n")
        #expect(try await LocalCommand.result(of: "sleep", ["1000"], input: text, within: .milliseconds(100)) == nil)
        #expect(try await LocalCommand.result(of: "no-such-program", [], input: text) == nil)
    }
}
