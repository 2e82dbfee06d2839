// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Sessions and their answers as a client sees them, each measure by its name.
///
/// The agent is `Benchmarks/agent/claude`: a message `<count> <pause>` makes it send so many chunks with such pauses in
/// seconds, each with the time at which it was written.
struct ChatBenchmark: AsyncParsableCommand {
    enum Measure: String, ExpressibleByArgument {
        /// From the request for a session to its being ready.
        case ready
        /// From an agent's output to the client.
        case latency
        /// How many chunks of one answer arrive in a second, as it is written and when it is streamed again.
        case rate
        /// What the server needs for each client that waits.
        case memory
    }

    static let configuration = CommandConfiguration(commandName: "chat")

    @Argument var measure: Measure
    @Option var port: Int
    @Option var workspace: String
    @Option(help: "The agent of the sessions.") var agent: String
    @Option(help: "Sessions, turns, chunks or clients.") var count = 1
    @Option(help: "Process id of the server, for its memory.") var server = 0
    @Option(help: "What the row is called.") var label = ""
    @Option(help: "How many chunks each agent writes in a second.") var pace = 20

    func run() async throws {
        try await ChatClient.with(port: port, workspace: workspace, agent: agent) { client in
            switch measure {
            case .ready: try await measureReady(client)
            case .latency: try await measureLatency(client)
            case .rate: try await measureRate(client)
            case .memory: try await measureMemory(client)
            }
        }
    }

    private func measureReady(_ client: ChatClient) async throws {
        var times: [Duration] = []
        for _ in 0..<count {
            let (session, time) = try await client.makeSession()
            times.append(time)
            try await client.removeSession(session)
        }
        times.sort()
        report("| \(label) | \(count) | \(times.percentile(0.5)) | \(times.percentile(0.99)) |")
    }

    private func measureLatency(_ client: ChatClient) async throws {
        let sessions = try await client.makeSessions(count)
        let streams = RawStreams(port: port)
        for session in sessions {
            _ = try streams.open(client.chatRequest("\(pace * 100) \(1 / Double(pace))", in: session))
        }
        var silent = Set(0..<count)
        var received: [Duration] = []
        var read: [Duration] = []
        // Ten seconds, from when all agents have started.
        var begin = Int64.max - 10_000_000_000
        while RawStreams.now < begin + 10_000_000_000 {
            try streams.read { line in
                guard let stamp = line.stamp else { return }
                if silent.remove(line.stream) != nil, silent.isEmpty { begin = RawStreams.now + 1_000_000_000 }
                guard stamp >= begin else { return }
                received.append(.nanoseconds(line.received - stamp))
                read.append(.nanoseconds(line.read - stamp))
            }
        }
        for session in sessions { try await client.removeSession(session) }
        let columns = [received.sorted(), read.sorted()].flatMap { [$0.percentile(0.5), $0.percentile(0.99)] }
        report("| \(count) | \(pace) | \(read.count) | \(columns.joined(separator: " | ")) |")
    }

    private func measureRate(_ client: ChatClient) async throws {
        let session = try await client.makeSession().id
        let live = try stream(client.chatRequest("\(count) 0", in: session))
        report("| as the agent writes them | \(live.chunks) | \(live.rate) chunks/s |")
        let turn = live.firstID.split(separator: ":").first.map(String.init) ?? ""
        let again = try stream(client.streamRequest(session, after: turn + ":0"))
        report("| the ended answer streamed again | \(again.chunks) | \(again.rate) chunks/s |")
        try await client.removeSession(session)
    }

    private struct Streamed {
        var chunks = 0
        var firstID = ""
        var seconds = 0.0
        var rate: String { String(format: "%.0f", Double(chunks) / seconds) }
    }

    /// Reads an answer to its end; the clock starts before the request.
    private func stream(_ request: String) throws -> Streamed {
        let streams = RawStreams(port: port)
        let start = RawStreams.now
        _ = try streams.open(request)
        var result = Streamed()
        while streams.openCount > 0 {
            try streams.read { line in
                guard line.begins(with: "id: ") else { return }
                if result.chunks == 0 { result.firstID = String(decoding: line.text.dropFirst(4), as: UTF8.self) }
                result.chunks += 1
            }
        }
        result.seconds = Double(RawStreams.now - start) / 1e9
        return result
    }

    private func measureMemory(_ client: ChatClient) async throws {
        let session = try await client.makeSession().id
        let streams = RawStreams(port: port)
        _ = try streams.open(client.chatRequest("2 600", in: session))
        // The answer's first chunk, so that all that comes with the turn itself is there.
        var hasBegun = false
        while !hasBegun { try streams.read { if $0.stamp != nil { hasBegun = true } } }
        let before = residentKilobytes(of: server)
        for _ in 0..<count { _ = try streams.open(client.streamRequest(session)) }
        var opened = 0
        while opened < count { try streams.read { if $0.stamp != nil { opened += 1 } } }
        let grown = residentKilobytes(of: server) - before
        report("| \(count) | \(String(format: "%.1f", Double(grown) / Double(count))) kB |")
        try await client.removeSession(session)
    }
}

extension RawStreams.Line {
    /// The time that an agent has written into a chunk.
    fileprivate var stamp: Int64? {
        guard begins(with: "data: "), let colon = text.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let digits = text[colon...].dropFirst(2).prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        return digits.count == 19 ? Int64(String(decoding: digits, as: UTF8.self)) : nil
    }
}

/// A process's resident size.
func residentKilobytes(of process: Int) -> Int {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
}
