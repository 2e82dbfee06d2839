// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

@Suite(.timeLimit(.minutes(10)))
struct DataLockTests {
    @Test
    func `a second runtime on the same data fails, and leaves the first's turn alone`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let go = directory.file("go")
            try await runtime.start("echo begun; while [ ! -e \(go) ]; do sleep 0.01; done; echo done", completion: "c")
            try await runtime.wait(for: 5, of: "c")
            let output = try await Shell.run(
                #"DISCOBOT_DATA_DIR="$1/data" DISCOBOT_SOCKET="$1/second.sock" "$0" 2>&1 && exit 1; echo "code $?""#,
                AgentRuntimeProcess.executable,
                directory.path
            )
            #expect(
                output.hasSuffix(
                    "error: DISCOBOT_DATA_DIR: another discobot-agent uses \(directory.file("data"))\ncode 1\n"
                )
            )
            #expect(FileManager.default.createFile(atPath: go, contents: nil))
            let chunks = try await runtime.chunks(of: "c")
            #expect(chunks.last == .finish)
            #expect(chunks.contains(.textDelta(id: "text-msg-c", delta: "done\n")))
        }
    }

    @Test
    func `agents do not hold the lock of a runtime that was killed`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let pid = directory.file("pid")
            // Without a mark in its environment, so that the next runtime does not end it either.
            try await runtime.start(
                "env -i setsid sh -c 'echo $$ > \(pid); exec /bin/sleep 1000' & while [ ! -s \(pid) ]; do sleep 0.01; done; "
                    + "echo begun; sleep 1000",
                completion: "c"
            )
            try await runtime.wait(for: 5, of: "c")
            runtime.kill()
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            let left = try #require(pid_t(try String(contentsOfFile: pid, encoding: .utf8).prefix { $0.isNumber }))
            #expect(!ProcessTable.hasEnded(left))
            kill(left, SIGKILL)
            #expect(try await next.client.health().connected)
        }
    }
}
