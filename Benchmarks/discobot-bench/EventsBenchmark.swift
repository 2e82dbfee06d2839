// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// How long it takes from a request that changes something to the bytes of its event at each subscriber.
///
/// The clock starts before the request is sent, so parsing, the transaction and the commit count as well. It stops when
/// the kernel has the bytes at the subscriber's socket, and once more when the subscriber has read them.
struct EventsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "events")

    @Option var port: Int
    @Option var workspace: String
    @Option var subscribers = 1
    @Option var count = 200
    @Option(help: "Process id of the server, for its memory.") var server: Int

    func run() throws {
        let streams = RawStreams(port: port)
        let before = residentKilobytes(of: server)
        for _ in 0..<subscribers { _ = try streams.open(get) }
        try wait(streams) { $0.begins(with: "event: connected") }
        let memory = residentKilobytes(of: server) - before
        let control = try streams.open(put(0))
        try wait(streams) { $0.begins(with: "id: ") }
        let asleep = try measure(streams, control, delay: 20_000)
        let awake = try measure(streams, control, delay: 0)
        let each = subscribers > 1 ? String(format: "%.1f kB each", Double(memory) / Double(subscribers)) : "-"
        let columns = [asleep.received, awake.received, awake.read].flatMap { times in
            [times.percentile(0.5), times.percentile(0.99)]
        }
        report("| \(subscribers) | \(count) | \(columns.joined(separator: " | ")) | \(each) |")
    }

    /// - Parameter delay: how many microseconds the subscribers do not look.
    private func measure(_ streams: RawStreams, _ control: Int, delay: UInt32) throws -> EventTimes {
        var times = EventTimes()
        for round in 1...count {
            let start = RawStreams.now
            try streams.send(put(round), on: control)
            if delay > 0 { usleep(delay) }
            try wait(streams) { line in
                guard line.begins(with: "id: ") else { return false }
                times.add(line, since: start)
                return true
            }
        }
        times.sort()
        return times
    }

    /// Reads until each subscriber has had such a line.
    private func wait(_ streams: RawStreams, _ isWanted: (RawStreams.Line) -> Bool) throws {
        var missing = subscribers
        while missing > 0 {
            try streams.read { line in
                if isWanted(line) { missing -= 1 }
                if line.begins(with: "HTTP/1.1 ") && !line.begins(with: "HTTP/1.1 200") {
                    throw ValidationError("the server answered \(String(decoding: line.text, as: UTF8.self))")
                }
            }
        }
    }

    private var get: String {
        "GET /api/projects/local/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    }

    private func put(_ round: Int) -> String {
        let body = #"{"displayName":"round \#(round)"}"#
        return "PUT /api/projects/local/workspaces/\(workspace) HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

/// How long events took to the socket of their subscriber, and to the subscriber.
struct EventTimes {
    private(set) var received: [Duration] = []
    private(set) var read: [Duration] = []

    mutating func add(_ line: RawStreams.Line, since start: Int64) {
        received.append(.nanoseconds(line.received - start))
        read.append(.nanoseconds(line.read - start))
    }

    mutating func sort() {
        received.sort()
        read.sort()
    }
}
