// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

/// A machine that does not do what it should.
@Suite(.timeLimit(.minutes(10)))
struct AgentFaultTests {
    @Test
    func `a full disk ends the turn with the reason, in order, and room makes the next one work`() async throws {
        // For the journal.
        let command = SmallDisk.command(at: "$DISCOBOT_DATA_DIR/agent", size: "400k")
        try await AgentRuntimeProcess.with(command: command) { (runtime, directory) async throws in
            let pid = directory.file("pid")
            let flood = "echo $$ > \(pid); yes 0123456789abcdef | head -c 2000000; exec sleep 1000"
            try await runtime.start(flood, completion: "c")
            let chunks = try await runtime.chunks(of: "c")
            let reason = "the session's disk is full; delete files that are not needed, and try again"
            #expect(chunks.last == .error(errorText: reason))
            #expect(chunks.contains { if case .textDelta = $0 { true } else { false } })
            #expect(try await ChunkStreamValidator.complaints(about: chunks).isEmpty)
            #expect(try await runtime.client.status() == ChatStatus(isRunning: false, error: reason))
            let text = try String(contentsOfFile: pid, encoding: .utf8)
            let agent = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
            #expect(ProcessTable.hasEnded(agent))
            // It is the same for whoever reads it later.
            #expect(try await runtime.chunks(of: "c") == chunks)
            let refusal = await #expect(throws: AgentError.self) { try await runtime.start("true", completion: "d") }
            #expect(refusal?.code == .refused(status: 507))
            try await Shell.run(
                #"curl -sf -X DELETE --unix-socket "$0" -H "Authorization: Bearer $1" http://agent/chat"#,
                runtime.socket,
                AgentRuntimeProcess.secret.value
            )
            try await runtime.start("echo fine", completion: "d")
            #expect(try await runtime.chunks(of: "d").last == .finish)
        }
    }

    /// Runs `body` with a runtime whose data fills its disk: with the file `fill`.
    private func withFullDisk(
        _ body: (AgentRuntimeProcess, _ data: String) async throws -> Void
    ) async throws {
        let command = SmallDisk.command(at: "$DISCOBOT_DATA_DIR", size: "2m")
        try await AgentRuntimeProcess.with(command: command) { (runtime, directory) async throws in
            let data = directory.file("data")
            // What the first of each kind makes for all further ones.
            _ = try await runtime.client.diff(since: nil, includingPatches: true)
            try await SmallDisk.run("echo two >> \"$0/workspace/file\"", data, of: runtime.identifier)
            try await SmallDisk.fill("\(data)/fill", of: runtime.identifier)
            try await body(runtime, data)
        }
    }

    @Test
    func `a full disk refuses a file and keeps the old one whole`() async throws {
        try await withFullDisk { runtime, data in
            let client = runtime.client
            let large = WriteFileRequest(path: "file", content: String(repeating: "x", count: 100_000), encoding: nil)
            let new = WriteFileRequest(path: "new", content: large.content, encoding: nil)
            for request in [large, new] {
                let refusal = await #expect(throws: AgentError.self) {
                    try await client.writeFile(request, conditions: [])
                }
                #expect(refusal?.code == .refused(status: 507))
            }
            #expect(try await client.readFile("file").content == "one\ntwo\n")
            #expect(try await client.files(in: ".", includingHidden: true).entries.map(\.name) == ["file"])
            let left = try await SmallDisk.run(
                "find \"$0\" -name '.discobot-*' -o -name 'write*'",
                data,
                of: runtime.identifier
            )
            #expect(left == "")
            try await SmallDisk.run("rm \"$0/fill\"", data, of: runtime.identifier)
            #expect(try await client.writeFile(large, conditions: []).size == 100_000)
        }
    }

    @Test
    func `a full disk is told to who asks for a diff, and leaves nothing behind`() async throws {
        try await withFullDisk { runtime, data in
            let refusal = await #expect(throws: AgentError.self) {
                try await runtime.client.diff(since: nil, includingPatches: true)
            }
            #expect(refusal?.code == .refused(status: 507))
            let look = "ls \"$0/agent\" | grep index || true"
            #expect(try await SmallDisk.run(look, data, of: runtime.identifier) == "")
            try await SmallDisk.run("rm \"$0/fill\"", data, of: runtime.identifier)
            let diff = try await runtime.client.diff(since: nil, includingPatches: true)
            #expect(diff.files.map(\.path) == ["file"])
            #expect(try await SmallDisk.run(look, data, of: runtime.identifier) == "")
        }
    }

    @Test
    func `a runtime that is frozen is an error for whoever follows or calls, and works on when it is not`() async throws
    {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let go = directory.file("go")
            try await runtime.start("echo begun; while [ ! -e \(go) ]; do sleep 0.01; done", completion: "c")
            try await runtime.wait(for: 5, of: "c")
            let endpoint = AgentEndpoint.unixSocket(path: runtime.socket)
            try await AgentClient.with(
                endpoint: endpoint,
                secret: AgentRuntimeProcess.secret,
                silence: .milliseconds(300)
            ) { client in
                runtime.freeze()
                defer { runtime.thaw() }
                let silent = "the sandbox's agent hangs: it is silent"
                let following = await #expect(throws: AgentError.self) {
                    try await client.follow("c", after: 0) { _ in }
                }
                #expect(following?.code == .unreachable)
                #expect(following?.message == silent)
                let calling = await #expect(throws: AgentError.self) { try await client.status() }
                #expect(calling?.code == .unreachable)
                #expect(calling?.message == silent)
            }
            #expect(FileManager.default.createFile(atPath: go, contents: nil))
            #expect(try await runtime.chunks(of: "c").last == .finish)
        }
    }

    @Test
    func `a runtime that freezes in the middle of a stream is an error for its reader`() async throws {
        try await AgentRuntimeProcess.with(environment: [AgentVariable.keepAlive.rawValue: "0.02"]) {
            (runtime, _) async throws in
            try await runtime.start("echo begun; sleep 1000", completion: "c")
            try await AgentClient.with(
                endpoint: .unixSocket(path: runtime.socket),
                secret: AgentRuntimeProcess.secret,
                silence: .seconds(1)
            ) { client in
                let error = await #expect(throws: AgentError.self) {
                    try await client.follow("c", after: 0) { batch in
                        if batch.last >= 5 { runtime.freeze() }
                    }
                }
                #expect(error?.message == "the sandbox's agent hangs: it is silent")
            }
            runtime.thaw()
            _ = try await runtime.client.cancel()
        }
    }

    @Test
    func `a stream with nothing to say says that it is alive`() async throws {
        try await AgentRuntimeProcess.with(environment: [AgentVariable.keepAlive.rawValue: "0.02"]) {
            (runtime, directory) async throws in
            let go = directory.file("go")
            try await runtime.start("echo begun; while [ ! -e \(go) ]; do sleep 0.01; done; echo done", completion: "c")
            try await runtime.wait(for: 5, of: "c")
            // The script goes on when the stream has had three comments in a row.
            let text = try await Shell.run(
                #"""
                curl -sfN --unix-socket "$0" -H "Authorization: Bearer $1" -H "Accept: text/event-stream" \
                    "http://agent/chat?completionId=c" | {
                    comments=0
                    while IFS= read -r line; do
                        printf '%s\n' "$line"
                        [ "$line" = : ] && comments=$((comments + 1))
                        [ $comments -lt 3 ] || : > "$2"
                    done
                }
                """#,
                runtime.socket,
                AgentRuntimeProcess.secret.value,
                go
            )
            let frames = text.components(separatedBy: "\n\n")
            #expect(frames.count { $0 == ":" } >= 3)
            #expect(frames.last { !$0.isEmpty }?.hasSuffix("data: [DONE]") == true)
            let comment = try #require(frames.firstIndex(of: ":"))
            #expect(frames[..<comment].last?.contains("begun") == true)
            #expect(frames[comment...].contains { $0.contains("done\\n") })
        }
    }

    @Test(arguments: ["0", "-1", "31", "soon"])
    func `a pause between signs of life that callers would not survive is refused`(value: String) {
        #expect(throws: (any Error).self) {
            try AgentOptions(environment: ["PORT": "3002", AgentVariable.keepAlive.rawValue: value])
        }
    }
}
