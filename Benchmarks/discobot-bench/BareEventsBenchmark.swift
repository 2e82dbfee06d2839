// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Dispatch
import Foundation

/// What `EventsBenchmark` would measure of a server that does nothing but write: two threads, `write(2)` to each socket.
struct BareEventsBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bare-events")

    @Option var subscribers = 1
    @Option var count = 200

    func run() throws {
        let listener = try Listener()
        let streams = RawStreams(port: listener.port)
        let writers = try (0..<subscribers).map { _ in
            _ = try streams.open("GET\n")
            return try listener.accept()
        }
        let asleep = try measure(streams, writers, delay: 20_000)
        let awake = try measure(streams, writers, delay: 0)
        let columns = [asleep.received, awake.received, awake.read].flatMap { times in
            [times.percentile(0.5), times.percentile(0.99)]
        }
        report("| \(subscribers), bare | \(count) | \(columns.joined(separator: " | ")) | - |")
    }

    private func measure(_ streams: RawStreams, _ writers: [CInt], delay: UInt32) throws -> EventTimes {
        var times = EventTimes()
        for _ in 1...count {
            let start = RawStreams.now
            let isWritten = DispatchGroup()
            for half in 0..<2 {
                // Threads of their own, as a server's event loops are.
                DispatchQueue.global().async(group: isWritten) { Self.write(to: writers, half) }
            }
            if delay > 0 { usleep(delay) }
            var missing = subscribers
            while missing > 0 {
                try streams.read { line in
                    guard line.begins(with: "id: ") else { return }
                    times.add(line, since: start)
                    missing -= 1
                }
            }
            isWritten.wait()
        }
        times.sort()
        return times
    }

    /// As long as the event that the other benchmark makes.
    private static let frame = Array(("id: " + String(repeating: "x", count: 244) + "\n\n").utf8)

    private static func write(to writers: [CInt], _ half: Int) {
        for index in stride(from: half, to: writers.count, by: 2) {
            _ = Glibc.write(writers[index], frame, frame.count)
        }
    }
}

private struct Listener {
    let port: Int
    private let socket: CInt

    init() throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = socket
        let isListening = withUnsafeMutableBytes(of: &address) { bytes in
            guard let address = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return bind(socket, address, length) == 0 && listen(socket, 128) == 0
                && getsockname(socket, address, &length) == 0
        }
        guard isListening else { throw ValidationError("cannot listen: errno \(errno)") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    func accept() throws -> CInt {
        let accepted = Glibc.accept(socket, nil, nil)
        guard accepted >= 0 else { throw ValidationError("cannot accept: errno \(errno)") }
        var yes: CInt = 1
        setsockopt(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<CInt>.size))
        return accepted
    }
}
