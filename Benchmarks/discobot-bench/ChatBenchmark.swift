// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization

/// Sessions and their answers as a client sees them, each measure by its name.
struct ChatBenchmark: AsyncParsableCommand {
    enum Measure: String, ExpressibleByArgument {
        /// From the request for a session to its being ready.
        case ready
        /// From an agent's output to the client.
        case latency
        /// How many chunks of one answer arrive in a second.
        case rate
        /// How quickly a long answer is streamed again.
        case replay
        /// What the server needs for each client that waits.
        case memory
    }

    static let configuration = CommandConfiguration(commandName: "chat")

    @Argument var measure: Measure
    @Option var port: Int
    @Option var workspace: String
    @Option(help: "An agent of the type shell.") var agent: String
    @Option(help: "Sessions, turns, chunks or clients.") var count = 1
    @Option(help: "Process id of the server, for its memory.") var server = 0
    @Option(help: "What the row is called.") var label = ""

    func run() async throws {
        let client = ChatClient(port: port, workspace: workspace, agent: agent)
        switch measure {
        case .ready: try await measureReady(client)
        case .latency: try await measureLatency(client)
        case .rate: try await measureRate(client)
        case .replay: try await measureReplay(client)
        case .memory: try await measureMemory(client)
        }
    }

    private func measureReady(_ client: ChatClient) async throws {
        var times: [Duration] = []
        for _ in 0..<count {
            let start = ContinuousClock.now
            let session = try await client.makeSession()
            times.append(ContinuousClock.now - start)
            try await client.removeSession(session)
        }
        times.sort()
        report("| \(label) | \(count) | \(times.percentile(0.5)) | \(times.percentile(0.99)) |")
    }

    /// The agents print the time, a hundred times a second, and so does each client when it arrives.
    private func measureLatency(_ client: ChatClient) async throws {
        let sessions = try await client.makeSessions(count)
        let script = """
            exec python3 -u -c 'import time
            for i in range(300):
                print(time.time_ns()); time.sleep(0.01)'
            """
        let latencies = Shared<[Duration]>([])
        try await withThrowingDiscardingTaskGroup { group in
            for session in sessions {
                group.addTask {
                    try await client.chat(script, in: session) { frame in
                        let now = Date().timeIntervalSince1970
                        let new = frame.stamps.map { Duration.seconds(now - $0) }
                        latencies.withLock { $0 += new }
                    }
                }
            }
        }
        for session in sessions { try await client.removeSession(session) }
        let sorted = latencies.withLock { $0 }.sorted()
        report("| \(count) | \(sorted.count) | \(sorted.percentile(0.5)) | \(sorted.percentile(0.99)) |")
    }

    private func measureRate(_ client: ChatClient) async throws {
        let session = try await client.makeSession()
        let script = """
            exec python3 -u -c 'import sys
            for i in range(\(count)):
                sys.stdout.write("word \\n"); sys.stdout.flush()'
            """
        let start = ContinuousClock.now
        let chunks = Shared(0)
        try await client.chat(script, in: session) { _ in chunks.withLock { $0 += 1 } }
        reportRate("sustained, as an agent writes them", chunks.withLock { $0 }, since: start)
        try await client.removeSession(session)
    }

    private func measureReplay(_ client: ChatClient) async throws {
        let session = try await client.makeSession()
        let script = """
            exec python3 -u -c 'import os
            for i in range(\(count)):
                os.write(1, b"word "); os.sched_yield()'
            """
        let ids = Shared("")
        try await client.chat(script, in: session) { frame in
            ids.withLock { id in if id.isEmpty { id = frame.id ?? "" } }
        }
        let turn = ids.withLock { $0 }.split(separator: ":").first.map(String.init) ?? ""
        let start = ContinuousClock.now
        let chunks = Shared(0)
        try await client.stream(session, after: turn + ":0") { _ in chunks.withLock { $0 += 1 } }
        reportRate("an ended answer streamed again", chunks.withLock { $0 }, since: start)
        try await client.removeSession(session)
    }

    private func measureMemory(_ client: ChatClient) async throws {
        let session = try await client.makeSession()
        let chunks = Shared(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.chat("sleep 600", in: session) { _ in chunks.withLock { $0 += 1 } } }
            while chunks.withLock({ $0 }) == 0 { try await Task.sleep(for: .milliseconds(10)) }
            let before = residentKilobytes(of: server)
            let opened = Shared(0)
            for _ in 0..<count {
                group.addTask {
                    let isFirst = Shared(true)
                    try await client.stream(session) { _ in
                        if isFirst.withLock({ $0 }) { opened.withLock { $0 += 1 } }
                        isFirst.withLock { $0 = false }
                    }
                }
            }
            while opened.withLock({ $0 }) < count { try await Task.sleep(for: .milliseconds(10)) }
            let grown = residentKilobytes(of: server) - before
            report("| \(count) | \(String(format: "%.1f", Double(grown) / Double(count))) kB |")
            group.cancelAll()
            while let _ = await group.nextResult() {}
        }
        try await client.removeSession(session)
    }

    private func reportRate(_ what: String, _ chunks: Int, since start: ContinuousClock.Instant) {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        report("| \(what) | \(chunks) | \(String(format: "%.0f", Double(chunks) / seconds)) chunks/s |")
    }
}

/// A process's resident size.
func residentKilobytes(of process: Int) -> Int {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
}

/// A value that the readers of several streams change.
private final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: sending Value) {
        self.value = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock(body)
    }
}
