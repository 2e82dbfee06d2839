// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// The API of a runtime that runs as a process of its own.
@Suite(.timeLimit(.minutes(10)))
struct AgentAPITests {
    /// Calls by hand, for what the client never sends; returns status and body.
    private func call(
        _ runtime: AgentRuntimeProcess,
        _ path: String,
        _ arguments: [String] = [],
        token: String? = AgentRuntimeProcess.secret.value
    ) async throws -> (status: Int, body: String) {
        let header = token.map { "Authorization: Bearer \($0)" } ?? "X-None: 1"
        let script = #"s=$0 u=$1 h=$2; shift 2; curl -s --unix-socket "$s" -H "$h" -w '\n%{http_code}' "$@" "$u""#
        let words = arguments.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
        let output = try await Shell.run(
            script.replacing("\"$@\"", with: words),
            runtime.socket,
            "http://agent\(path)",
            header
        )
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
    }

    private func refusal(_ body: () async throws -> Void) async -> AgentError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? AgentError)?.code
        }
    }

    @Test
    func `only those who know the secret are let in`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            #expect(try await call(runtime, "/", token: nil).body == #"{"status":"ok","service":"agent"}"#)
            #expect(try await call(runtime, "/health", token: nil).status == 200)
            #expect(
                try await call(runtime, "/user", token: nil) == (401, #"{"error":"Authorization header required"}"#)
            )
            #expect(
                try await call(runtime, "/user", token: "x") == (401, #"{"error":"Invalid authorization token"}"#)
            )
            let basic = try await call(runtime, "/user", ["-H", "Authorization: Basic x"], token: nil)
            #expect(basic.status == 401)
            #expect(try await runtime.client.user().uid == Int(getuid()))
        }
    }

    @Test
    func `what is unknown or wrong is refused with a reason`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            #expect(try await call(runtime, "/nope").status == 404)
            #expect(try await call(runtime, "/chat/cancel").status == 405)
            let post = ["-X", "POST", "-d"]
            #expect(try await call(runtime, "/chat", post + ["{}"]) == (400, #"{"error":"messages array required"}"#))
            #expect(try await call(runtime, "/chat", post + ["{"]).status == 400)
            let agent = #""agent":{"type":"shell","mcpServers":[]}"#
            let assistant = #"{"messages":[{"id":"m","role":"assistant","parts":[]}],\#(agent)}"#
            #expect(
                try await call(runtime, "/chat", post + [assistant]) == (400, #"{"error":"No user message found"}"#)
            )
            let unknown = #"{"messages":[{"id":"m","role":"user","parts":[]}],"agent":{"type":"x","mcpServers":[]}}"#
            #expect(try await call(runtime, "/chat", post + [unknown]) == (400, #"{"error":"unknown agent type: x"}"#))
            #expect(
                try await call(runtime, "/chat/cancel", ["-X", "POST"]) == (409, #"{"error":"no_active_completion"}"#)
            )
            #expect(
                try await call(runtime, "/chat/answer", post + ["{}"]) == (400, #"{"error":"toolUseID is required"}"#)
            )
            #expect(
                try await call(runtime, "/chat/answer", post + [#"{"toolUseID":"x"}"#])
                    == (400, #"{"error":"answers is required"}"#)
            )
            let answer = AnswerRequest(toolUseID: "x", answers: [:])
            #expect(await refusal { try await runtime.client.answer(answer) } == .refused(status: 404))
            #expect(try await runtime.client.question(nil) == QuestionResponse(status: nil, question: nil))
            let stream = ["-H", "Accept: text/event-stream"]
            #expect(try await call(runtime, "/chat", stream).status == 204)
            #expect(try await call(runtime, "/chat?completionId=x", stream).status == 404)
            #expect(try await runtime.client.models(of: "shell").isEmpty)
            #expect(await refusal { _ = try await runtime.client.models(of: "x") } == .refused(status: 400))
        }
    }

    @Test
    func `one turn runs at a time, and a known one is not run again`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let file = directory.file("go")
            let script = "echo x >> \(directory.file("runs")); while [ ! -e \(file) ]; do sleep 0.01; done"
            try await runtime.start(script, completion: "one")
            #expect(try await runtime.start("true", completion: "one").completionId == "one")
            #expect(try await runtime.client.status().completionId == "one")
            let second = await refusal { try await runtime.start("true", completion: "two") }
            #expect(second == .refused(status: 409))
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
            let chunks = try await runtime.chunks(of: "one")
            #expect(chunks.last == .finish)
            try await runtime.start(script, completion: "one")
            #expect(try await runtime.chunks(of: "one") == chunks)
            #expect(try String(contentsOfFile: directory.file("runs"), encoding: .utf8) == "x\n")
            #expect(try await runtime.client.status() == ChatStatus(isRunning: false))
        }
    }

    @Test
    func `history holds questions and answers until it is forgotten`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            try await runtime.start("echo hello", completion: "one")
            _ = try await runtime.chunks(of: "one")
            struct History: Decodable {
                let messages: [UIMessage]
            }
            let body = try await call(runtime, "/chat").body
            let history = try JSONDecoder().decode(History.self, from: Data(body.utf8)).messages
            #expect(history.map(\.role) == [.user, .assistant])
            #expect(history.map(\.text) == ["echo hello", "hello\n"])
            guard case .dynamicTool(let tool) = try #require(history.last?.parts.first) else {
                Issue.record("no tool")
                return
            }
            #expect(tool.state == .outputAvailable)
            #expect(try await call(runtime, "/chat", ["-X", "DELETE"]) == (200, #"{"success":true}"#))
            #expect(try await call(runtime, "/chat").body == #"{"messages":[]}"#)
            #expect(await refusal { _ = try await runtime.chunks(of: "one") } == .refused(status: 404))
        }
    }

    @Test
    func `credentials reach the agent's environment only`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let token = CredentialVariable(envVar: "MY_TOKEN", value: "s3cret-\(UUID().uuidString)")
            try await runtime.start(
                #"[ -n "$MY_TOKEN" ] && echo set; env | grep -c DISCOBOT_SECRET"#,
                completion: "one",
                credentials: [token]
            )
            let printed = try await runtime.chunks(of: "one").compactMap { chunk -> String? in
                if case .textDelta(_, let delta) = chunk { delta } else { nil }
            }
            #expect(printed.joined() == "set\n0\n")
            try await runtime.start(#"echo "[$MY_TOKEN]""#, completion: "two")
            let text = try await runtime.lines(of: "two").joined()
            #expect(text.contains("[]"))
            let found = try await Shell.run(#"grep -rlF "$1" "$0" || true"#, directory.path, token.value)
            #expect(found.isEmpty)
            for name in ["PATH", "HOME", "LD_PRELOAD", "DISCOBOT_X", "1A", "A-B", ""] {
                let refused = CredentialVariable(envVar: name, value: "x")
                let code = await refusal {
                    try await runtime.start("true", completion: "three", credentials: [refused])
                }
                #expect(code == .refused(status: 400), "\(name)")
            }
        }
    }

    @Test
    func `commits carry the user's name`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let body = """
                {"completionId":"c","messages":[{"id":"m","role":"user","parts":[{"type":"text","text":\
                "git commit -q --allow-empty -m x; git log -1 --format=%an/%ce; git config --global user.email"}]}],\
                "agent":{"type":"shell","mcpServers":[]}}
                """
            let answer = try await call(
                runtime,
                "/chat",
                ["-d", body, "-H", "X-Discobot-Git-User-Name: Ann", "-H", "X-Discobot-Git-User-Email: ann@example.com"]
            )
            #expect(answer.status == 202)
            let text = try await runtime.chunks(of: "c").compactMap { chunk in
                if case .textDelta(_, let delta) = chunk { delta } else { nil }
            }
            #expect(text.joined() == "Ann/ann@example.com\nann@example.com\n")
        }
    }
}
