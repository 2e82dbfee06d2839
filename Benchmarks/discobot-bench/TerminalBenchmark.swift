// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DiscobotAgentAPI
import DiscobotTunnel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// How soon somebody at a session's terminal sees what is typed, or the end of a flood of output.
struct TerminalBenchmark: AsyncParsableCommand {
    private struct Lost: Error {}

    static let configuration = CommandConfiguration(commandName: "terminal")

    @Option var port: Int
    @Option var session: String
    @Option(help: "How often to type.") var count = 200
    @Flag(help: "Type Ctrl-C into a flood.") var flood = false

    func run() async throws {
        let tunnel = try await WebSocket.connect(
            to: .tcp(host: "127.0.0.1", port: port),
            uri: "/api/projects/local/sessions/\(session)/terminal/ws",
            headers: ["Host": "localhost:\(port)"],
            on: MultiThreadedEventLoopGroup.singleton.next()
        )
        var times = try await WebSocket.run(over: tunnel, as: .client) { socket in
            flood ? try await measureInterrupt(socket) : try await measureEcho(socket)
        }
        times.sort()
        let label = flood ? "Ctrl-C in a flood" : "echo of a byte"
        report("| \(label) | \(times.count) | \(times.percentile(0.5)) | \(times.percentile(0.99)) |")
    }

    private func measureEcho(_ socket: WebSocket) async throws -> [Duration] {
        // Something that reads what is typed and says nothing of its own; the echo is the terminal's.
        try await type(#"printf 're''ady\n'; exec cat >/dev/null\#r"#, socket)
        try await waitFor("ready", socket)
        var times: [Duration] = []
        for number in 0..<count {
            let byte = String(Character(Unicode.Scalar(UInt8(ascii: "a") + UInt8(number % 26))))
            let start = ContinuousClock.now
            try await type(byte, socket)
            try await waitFor(byte, socket)
            times.append(ContinuousClock.now - start)
        }
        return times
    }

    /// From the key to what is shown when the flood's program has ended, behind all that was on its way.
    private func measureInterrupt(_ socket: WebSocket) async throws -> [Duration] {
        let script = #"trap : INT; while :; do printf "re""ady"; read key; yes "a line of a flood"; done"#
        try await type("exec sh -c '\(script)'\r", socket)
        var times: [Duration] = []
        try await waitFor("ready", socket)
        for _ in 0..<count {
            try await type("\r", socket)
            for _ in 0..<50 { try await waitFor("a line of a flood", socket) }
            let start = ContinuousClock.now
            try await type("\u{3}", socket)
            try await waitFor("ready", socket)
            times.append(ContinuousClock.now - start)
        }
        return times
    }

    private func type(_ text: String, _ socket: WebSocket) async throws {
        let message = try JSONEncoder().encode(["type": "input", "data": text])
        try await socket.send(.text(String(decoding: message, as: UTF8.self)))
    }

    private func waitFor(_ text: String, _ socket: WebSocket) async throws {
        var shown = ""
        while !shown.contains(text) {
            guard let message = try await socket.receive() else { throw Lost() }
            let output = try JSONDecoder().decode(TerminalOutput.self, from: Data(message.bytes.readableBytesView))
            // The text may be cut in two.
            if case .output(let more) = output { shown = shown.suffix(text.count) + more }
        }
    }
}
