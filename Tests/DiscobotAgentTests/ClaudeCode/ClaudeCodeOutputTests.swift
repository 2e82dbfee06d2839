// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent
import DiscobotAgentAPI
import DiscobotTestSupport
import Foundation
import Testing

/// A script in the place of the program, for output that the real one only writes when something is wrong.
@Suite(.timeLimit(.minutes(2)))
struct ClaudeCodeOutputTests {
    private func turn(
        _ script: String,
        limits: ClaudeCodeDriver.Limits = .init(),
        _ check: @escaping @Sendable (ClaudeCodeTurnRecord, ClaudeCodeBench) throws -> Void
    ) async throws {
        try await ClaudeCodeBench.with { bench in
            var bench = bench
            let program = bench.directory.file("claude")
            try bench.directory.write("#!/bin/sh\nread message\n" + script, to: "claude")
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
            bench.environment["PATH"] = bench.directory.path + ":/usr/bin:/bin"
            bench.driver = ClaudeCodeDriver(
                strays: StrayProcesses(owner: bench.directory.path, isAlone: false),
                limits: limits
            )
            let record = try await bench.turn("Hello")
            try check(record, bench)
            #expect(bench.processes.isEmpty)
        }
    }

    private static let result = #"echo '{"type":"result","is_error":false,"result":"Fine"}'"#

    @Test func `lines that are no JSON are passed over`() async throws {
        let script = #"echo 'warning: {'; echo; printf '\377\376\n'; echo '[1'; \#(Self.result)"#
        try await turn(script) { record, _ in
            #expect(record.error == nil)
            #expect(record.message.text == "Fine")
        }
    }

    @Test func `an endless line is an error`() async throws {
        var limits = ClaudeCodeDriver.Limits()
        limits.line = 1 << 20
        try await turn("exec tr '\\0' x < /dev/zero", limits: limits) { record, _ in
            #expect(record.error?.message.contains("line of more than") == true)
        }
    }

    @Test func `a program that says nothing at first is an error`() async throws {
        var limits = ClaudeCodeDriver.Limits()
        limits.start = .milliseconds(200)
        try await turn("exec sleep 300", limits: limits) { record, _ in
            #expect(record.error?.message == "Claude Code was started but does not answer")
        }
    }

    @Test func `a program that ends early is an error with its last words`() async throws {
        try await turn(#"echo "no room for $ANTHROPIC_API_KEY" >&2; exit 3"#) { record, _ in
            let expected = "Claude Code ended with code 3 before its answer was complete: no room for …"
            #expect(record.error?.message == expected)
        }
    }

    @Test func `a program that stays after its answer is ended`() async throws {
        try await turn("\(Self.result); trap '' TERM; sleep 300") { record, _ in
            #expect(record.error == nil)
        }
    }

    @Test func `requests of unknown kinds are answered`() async throws {
        let script = #"""
            echo '{"type":"control_request","request_id":"r7","request":{"subtype":"hook_callback"}}'
            read answer; printf '%s' "$answer" > answer
            \#(Self.result)
            """#
        try await turn(script) { record, bench in
            #expect(record.error == nil)
            let answer = try String(contentsOfFile: bench.directory.file("work/answer"), encoding: .utf8)
            #expect(answer.contains(#""subtype":"error""#))
            #expect(answer.contains(#""request_id":"r7""#))
        }
    }
}
