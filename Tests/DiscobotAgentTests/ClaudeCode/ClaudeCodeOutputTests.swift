// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent
import DiscobotAgentAPI
import DiscobotTestSupport
import Foundation
import Testing

/// A script in the place of the program, for output that the real one only writes when something is wrong.
@Suite(.timeLimit(.minutes(10)))
struct ClaudeCodeOutputTests {
    private func turn(
        _ script: String,
        limits: ClaudeCodeDriver.Limits = .init(),
        answers: @escaping @Sendable (ClaudeCodeBench) async -> [String: String] = { _ in [:] },
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
            let asked = bench
            let record = try await bench.turn("Hello", answers: { _ in await answers(asked) })
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

    @Test func `what needs no user is allowed while the user is asked`() async throws {
        let script = #"""
            request() { printf '{"type":"control_request","request_id":"%s","request":%s}\n' "$1" "$2"; }
            request r1 '{"subtype":"can_use_tool","tool_name":"AskUserQuestion","tool_use_id":"t1","input":{"questions":[]}}'
            request r2 '{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t2","input":{"command":"true"}}'
            read answer; printf '%s' "$answer" > first.new; mv first.new first
            read answer; printf '%s' "$answer" > second
            \#(Self.result)
            """#
        let answers: @Sendable (ClaudeCodeBench) async -> [String: String] = { bench in
            try? await eventually { bench.directory.exists("work/first") }
            return ["Which?": "This"]
        }
        try await turn(script, answers: answers) { record, bench in
            #expect(record.error == nil)
            #expect(record.questions.map(\.toolUseID) == ["t1"])
            let first = try String(contentsOfFile: bench.directory.file("work/first"), encoding: .utf8)
            #expect(first.contains(#""request_id":"r2""#))
            #expect(first.contains(#""behavior":"allow""#))
            let second = try String(contentsOfFile: bench.directory.file("work/second"), encoding: .utf8)
            #expect(second.contains(#""request_id":"r1""#))
            #expect(second.contains("This"))
        }
    }

    @Test func `a program that never reads its answers is an error`() async throws {
        let script = #"""
            request='{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t","input":{"command":"%s"}}'
            long=$(head -c 4000 /dev/zero | tr '\0' x)
            for number in $(seq 2000); do
                printf '{"type":"control_request","request_id":"r%s","request":'"$request"'}\n' $number $long
            done
            exec sleep 300
            """#
        try await turn(script) { record, _ in
            #expect(record.error?.message == "Claude Code does not read what it is answered")
        }
    }
}
