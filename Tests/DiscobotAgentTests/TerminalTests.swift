// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import DiscobotTunnel
import Foundation
import NIOHTTP1
import Testing

/// Terminals of a runtime, with real shells.
@Suite(.timeLimit(.minutes(10)))
struct TerminalTests {
    /// Keeps what is typed, and the terminal's own changes, out of what is shown.
    private static let plain = "stty -echo -opost"

    private static func with(
        _ body: (AgentRuntimeProcess, TemporaryDirectory) async throws -> Void
    ) async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in try await body(runtime, directory) }
    }

    @Test
    func `a shell runs in the working copy, without secrets`() async throws {
        try await Self.with { runtime, directory in
            try await TerminalClient.with(runtime, query: "rows=33&cols=111") { terminal in
                let shown = try await terminal.run("pwd; tty; stty size; echo $TERM $((6 * 7)); env")
                #expect(shown.contains(directory.file("data/workspace")))
                #expect(shown.contains("/dev/pts/"))
                #expect(shown.contains("33 111"))
                #expect(shown.contains("xterm-256color 42"))
                #expect(!shown.contains("DISCOBOT_SECRET") && !shown.contains(AgentRuntimeProcess.secret.value))
                #expect(!shown.contains("DISCOBOT_SOCKET"))
                let descriptors = try await terminal.run("cd /proc/self/fd; echo open: *")
                #expect(descriptors.contains("open: 0 1 2 255") || descriptors.contains("open: 0 1 2 3\r"))
            }
        }
    }

    @Test
    func `what is shown again asks the viewer nothing`() async throws {
        try await Self.with { runtime, _ in
            let ask = #"printf '<\033[6n\033[c\033]11;?\007>\n'"#
            let asked = "<\u{1B}[6n\u{1B}[c\u{1B}]11;?\u{7}>"
            try await TerminalClient.with(runtime) { terminal in
                let shown = try await terminal.run(ask)
                #expect(shown.contains(asked))
            }
            try await TerminalClient.with(runtime) { terminal in
                let again = try await terminal.output(until: "<>")
                #expect(!again.contains("\u{1B}[6n"))
                #expect(try await terminal.run(ask).contains(asked))
            }
        }
    }

    @Test
    func `one viewer answers a program's questions, the one that was there before`() async throws {
        try await Self.with { runtime, _ in
            let ask = #"printf '<\033[6n\033[c>\n'"#
            let asked = "<\u{1B}[6n\u{1B}[c>"
            try await TerminalClient.with(runtime) { older in
                try await TerminalClient.with(runtime) { newer in
                    try await older.run("true")
                    let seen = try await newer.output(until: "true")
                    #expect(!seen.contains("\u{1B}[6n"))
                    #expect(try await older.run(ask).contains(asked))
                    #expect(try await !newer.output(until: "<>").contains("\u{1B}[6n"))
                    older.close()
                    _ = try await older.end()
                    var shown = ""
                    while !shown.contains(asked) { shown = try await newer.run(ask) }
                }
            }
        }
    }

    @Test
    func `who comes to a program that fills the screen sees it, whatever has been shown before`() async throws {
        try await Self.with { runtime, _ in
            let script = """
                trap 'printf "<drawn again>"' WINCH
                printf '\\033[?1049h\\033[?25l\\033[?2004h\\033[?2004l'
                i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); echo "line $i"; done; touch shown
                while :; do sleep 0.02; done
                """
            _ = try await runtime.client.writeFile(
                WriteFileRequest(path: "fill", content: script, encoding: .utf8),
                conditions: []
            )
            try await TerminalClient.with(runtime) { try await $0.type("sh fill\r") }
            while (try? await runtime.client.readFile("shown")) == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await TerminalClient.with(runtime) { terminal in
                let shown = try await terminal.output(until: "<drawn again>")
                #expect(shown.hasPrefix("\u{1B}c\u{1B}[?1049h\u{1B}[?25l\u{1B}[?2004l"), "\(shown.prefix(40))")
                try await terminal.type("\u{3}")
            }
        }
    }

    @Test
    func `text and escape sequences arrive as they are`() async throws {
        try await Self.with { runtime, _ in
            var text = "\u{1B}[31;1mred\u{1B}[0m\u{1B}]0;title\u{7}\t\u{8}\u{0}\u{7F}\u{1B}[?1049h\"\\/\u{2028}\r\n"
            for value in stride(from: 0x20, to: 0x2FFFF, by: 13) {
                if let scalar = Unicode.Scalar(UInt32(value)) { text.unicodeScalars.append(scalar) }
            }
            let bytes = Data(text.utf8).base64EncodedString()
            let request = WriteFileRequest(path: "bytes", content: bytes, encoding: .base64)
            _ = try await runtime.client.writeFile(request, conditions: [])
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run(Self.plain)
                try await terminal.type("printf B''EGIN; cat bytes; printf E''ND\r")
                _ = try await terminal.output(until: "BEGIN")
                let shown = try await terminal.output(until: "END")
                #expect(shown.unicodeScalars.elementsEqual((text + "END").unicodeScalars))
            }
            // What is no text is shown as such, one sign for each wrong byte.
            try await TerminalClient.with(runtime) { terminal in
                let shown = try await terminal.run(#"printf '<\377\303>'"#)
                #expect(shown.contains("<\u{FFFD}\u{FFFD}>"))
            }
        }
    }

    @Test
    func `a terminal goes on without viewers, and shows them what was there`() async throws {
        try await Self.with { runtime, _ in
            let lines = 40_000
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run("\(Self.plain); x=kept")
                try await terminal.type("echo; seq 1 \(lines); printf '%s%s' do ne; touch finished\r")
            }
            while (try? await runtime.client.readFile("finished")) == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await TerminalClient.with(runtime) { terminal in
                let shown = try await terminal.output(until: "done")
                #expect(shown.hasPrefix("\u{1B}c"))
                let numbers = shown.dropFirst(2).split(separator: "\n").compactMap { Int($0) }
                // The whole of it has 229 kB.
                #expect(numbers == Array(1...lines))
                let kept = try await terminal.run("echo $x")
                #expect(kept.contains("kept"))
            }
            let state = try await runtime.client.terminalState(of: "u1")
            #expect(state.isRunning && state.output.contains("kept"))
        }
    }

    @Test
    func `all viewers see the same, in the size of the smallest`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime, query: "rows=50&cols=200") { first in
                try await first.run("true")
                try await TerminalClient.with(runtime, query: "rows=20&cols=300") { second in
                    let seen = try await second.run("stty size")
                    #expect(seen.contains("20 200"))
                    _ = try await first.output(until: "20 200")
                    try await second.resize(60, 90)
                    // The size and what is typed come by two connections.
                    var size = ""
                    while !size.contains("50 90") { size = try await first.run("stty size") }
                    _ = try await second.output(until: "50 90")
                    // Another user has another terminal.
                    try await TerminalClient.with(runtime, user: "u2") { other in
                        let size = try await other.run("stty size")
                        #expect(size.contains("24 80"))
                        #expect(!size.contains("50 90"))
                    }
                }
                var size = ""
                while !size.contains("50 200") { size = try await first.run("stty size") }
            }
        }
    }

    @Test
    func `viewers are told when the shell ends, and the next gets a new one`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { first in
                try await TerminalClient.with(runtime) { second in
                    try await first.run("x=old; sleep 31415 & disown; (setsid sleep 31415 &)")
                    try await second.type("exit 7\r")
                    let ends = [try await first.end(), try await second.end()]
                    #expect(ends.allSatisfy { $0 == WebSocketClose(4007, "shell exited") }, "\(ends)")
                }
            }
            #expect(try await runtime.client.terminalState(of: "u1").isRunning == false)
            try await TerminalClient.with(runtime) { terminal in
                let shown = try await terminal.run("echo [$x]; pgrep -f 'sleep 3141[5]'; true")
                #expect(shown.contains("[]"))
                #expect(shown.firstMatch(of: /\n\d+\r?\n/) == nil, "\(shown)")
                #expect(!shown.contains("x=old"))
            }
        }
    }

    @Test
    func `Ctrl-C ends a flood, and little of it comes afterwards`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run("true")
                try await terminal.type("yes 'a line of a flood'\r")
                for _ in 0..<50 { _ = try await terminal.next() }
                try await terminal.type("\u{3}")
                let rest = try await terminal.output(until: "^C")
                #expect(rest.utf8.count < 1 << 20, "\(rest.utf8.count)")
                let shown = try await terminal.run("echo alive")
                #expect(shown.contains("alive"))
            }
        }
    }

    @Test
    func `a viewer that does not read holds nobody up, and goes on later`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { slow in
                try await slow.run("true")
                try await TerminalClient.with(runtime) { quick in
                    let shown = try await quick.run("seq 1 400000")
                    #expect(shown.contains("\n400000\r\n"))
                }
                // It has missed some, is told so, and has the end.
                let seen = try await slow.output(until: "\n400000\r\n")
                #expect(seen.contains("[some output was left out]"))
                let alive = try await slow.run("echo alive")
                #expect(alive.contains("alive"))
                // A shell is not held up for long by its only viewer either.
                try await slow.type("seq 1 400000; touch finished\r")
                while (try? await runtime.client.readFile("finished")) == nil {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
        }
    }

    @Test
    func `a huge paste arrives whole`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { terminal in
                let text = (0..<100_000).map { "line \($0) of a paste, ä\n" }.joined()
                let size = text.utf8.count
                // Whoever reads says so itself: what is typed is dropped when nobody reads for long.
                try await terminal.type(
                    "stty raw -echo; sh -c \"printf 'rea''dy' >/dev/tty; exec head -c \(size)\" > pasted; "
                        + "stty sane; touch all\r"
                )
                _ = try await terminal.output(until: "ready")
                var rest = text[...]
                while !rest.isEmpty {
                    try await terminal.type(String(rest.prefix(200_000)))
                    rest = rest.dropFirst(200_000)
                }
                let shown = try await terminal.run("echo all there")
                #expect(shown.contains("all there"))
                let pasted = try await runtime.client.readFile("pasted")
                #expect(pasted.content == text)
            }
        }
    }

    @Test
    func `Ctrl-C gets through to a program that reads nothing, and what was pasted is not run`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run("true")
                try await terminal.type("sh -c 'echo st''arted; exec sleep 1000'\r")
                _ = try await terminal.output(until: "started")
                try await terminal.type(String(repeating: "touch pasted-and-run\r", count: 20_000))
                try await terminal.type("\u{3}")
                try await terminal.run("true")
                await #expect(throws: AgentError.self) { _ = try await runtime.client.readFile("pasted-and-run") }
            }
        }
    }

    @Test(arguments: [
        ("not json", 1008), ("[]", 1008), (#"{"type":"input"}"#, 1008), (#"{"type":"input","data":5}"#, 1008),
        (#"{"type":"dance","data":"x"}"#, 1008), (#"{"type":"resize","data":{"rows":0,"cols":80}}"#, 1008),
        (#"{"type":"resize","data":{"rows":24,"cols":100000}}"#, 1008), (#"{"type":"resize","data":"big"}"#, 1008),
    ])
    func `a malformed message ends the connection with a reason, and not the terminal`(text: String, code: Int)
        async throws
    {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run("x=kept")
                try await terminal.send(text)
                var hasError = false
                while let message = try await terminal.next() { if case .error = message { hasError = true } }
                #expect(hasError)
                #expect(try await terminal.end()?.code == code)
            }
            try await TerminalClient.with(runtime) { terminal in
                #expect(try await terminal.run("echo $x").contains("kept"))
                try await terminal.send(binary: [1, 2, 3])
                #expect(try await terminal.end()?.code == 1003)
            }
        }
    }

    @Test
    func `ending the runtime ends its terminals, and all that runs in them`() async throws {
        for isKilled in [false, true] {
            try await TemporaryDirectory.with { directory in
                try await AgentRuntimeProcess.makeSource(in: directory)
                let runtime = try await AgentRuntimeProcess(in: directory)
                defer { runtime.kill() }
                let nap = "31\(Int.random(in: 100_000...999_999))"
                try await TerminalClient.with(runtime) { terminal in
                    try await terminal.run("sleep \(nap) & (setsid sleep \(nap) &); trap '' HUP TERM; set -m")
                    try await terminal.type("sleep \(nap)\r")
                    while Self.processes(nap) < 3 { try await Task.sleep(for: .milliseconds(10)) }
                    if isKilled { runtime.kill() } else { await runtime.terminate() }
                    let end = try await terminal.end()
                    #expect(
                        isKilled ? end == nil : [1001, 4129, 4137, 4000, 4143].contains(end?.code ?? 0),
                        "\(String(describing: end))"
                    )
                }
                // The next one looks after what a killed one has left.
                if isKilled {
                    let next = try await AgentRuntimeProcess(in: directory)
                    defer { next.kill() }
                    while Self.processes(nap) > 0 { try await Task.sleep(for: .milliseconds(10)) }
                }
                #expect(Self.processes(nap) == 0)
            }
        }
    }

    private static func processes(_ argument: String) -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.count { name in
            let data =
                Int32(name).flatMap { _ in FileManager.default.contents(atPath: "/proc/\(name)/cmdline") } ?? Data()
            return data.starts(with: Data("sleep\0\(argument)".utf8))
        }
    }

    @Test
    func `terminals are bounded, and bad requests are refused`() async throws {
        try await Self.with { runtime, _ in
            for query in ["rows=0", "rows=x", "cols=5000", "rows=-1&cols=1"] {
                let status = await Self.refusal { try await TerminalClient.with(runtime, query: query) { _ in } }
                #expect(status == 400, "\(query)")
            }
            for number in 1...16 {
                try await TerminalClient.with(runtime, user: "many\(number)") { try await $0.run("true") }
            }
            let status = await Self.refusal { try await TerminalClient.with(runtime, user: "more") { _ in } }
            #expect(status == 503)
            // One whose shell has ended makes room.
            try await TerminalClient.with(runtime, user: "many3") { terminal in
                try await terminal.type("exit\r")
                _ = try await terminal.end()
            }
            try await TerminalClient.with(runtime, user: "more") { try await $0.run("true") }
        }
    }

    private static func refusal(_ body: () async throws -> Void) async -> Int? {
        do {
            try await body()
            return nil
        } catch WebSocket.ConnectError.refused(let head, _) {
            return Int(head.status.code)
        } catch {
            return nil
        }
    }

    @Test
    func `two hundred viewers of a terminal see the same`() async throws {
        try await Self.with { runtime, _ in
            try await TerminalClient.with(runtime) { terminal in
                try await terminal.run("\(Self.plain); true")
                try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<200 {
                        group.addTask {
                            try await TerminalClient.with(runtime) { try await $0.output(until: "the end of all") }
                        }
                    }
                    try await terminal.type("seq 1 2000; printf '%s%s' 'the end ' 'of all'\r")
                    for try await shown in group { #expect(shown.contains("\n2000\n")) }
                }
            }
        }
    }
}
