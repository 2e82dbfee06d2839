// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DiscobotAgentAPI
import DiscobotTunnel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// How soon somebody at a session's terminal sees what is typed.
struct TerminalBenchmark: AsyncParsableCommand {
    private struct Lost: Error {}

    static let configuration = CommandConfiguration(commandName: "terminal")

    @Option var port: Int
    @Option var session: String
    @Option(help: "Bytes to type.") var count = 200
    @Option(help: "What the row is called.") var label = "echo of a byte"

    func run() async throws {
        let tunnel = try await WebSocket.connect(
            to: .tcp(host: "127.0.0.1", port: port),
            uri: "/api/projects/local/sessions/\(session)/terminal/ws",
            headers: ["Host": "localhost:\(port)"],
            on: MultiThreadedEventLoopGroup.singleton.next()
        )
        var times = try await WebSocket.run(over: tunnel, as: .client) { try await measure($0) }
        times.sort()
        report("| \(label) | \(times.count) | \(times.percentile(0.5)) | \(times.percentile(0.99)) |")
    }

    private func measure(_ socket: WebSocket) async throws -> [Duration] {
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

    private func type(_ text: String, _ socket: WebSocket) async throws {
        let message = try JSONEncoder().encode(["type": "input", "data": text])
        try await socket.send(.text(String(decoding: message, as: UTF8.self)))
    }

    private func waitFor(_ text: String, _ socket: WebSocket) async throws {
        var shown = ""
        while !shown.contains(text) {
            guard let message = try await socket.receive() else { throw Lost() }
            let output = try JSONDecoder().decode(TerminalOutput.self, from: Data(message.bytes.readableBytesView))
            if case .output(let more) = output { shown += more }
        }
    }
}
