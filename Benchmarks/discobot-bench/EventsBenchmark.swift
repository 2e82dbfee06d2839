// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// How long it takes from a request that changes something to the bytes of its event at each subscriber.
///
/// The clock starts before the request is sent, so parsing, the transaction and the commit count as well.
struct EventsBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "events")

    @Option var port: Int
    @Option var workspace: String
    @Option var subscribers = 1
    @Option var count = 200
    @Option(help: "Process id of the server, for its memory.") var server: Int

    func run() async throws {
        let before = residentKilobytes()
        let arrivals = Arrivals(subscribers: subscribers)
        let channels = try await connect(arrivals)
        await arrivals.wait()
        let memory = residentKilobytes() - before
        var latencies: [Duration] = []
        for round in 0..<count {
            arrivals.reset()
            let start = ContinuousClock.now
            try await change(round)
            await arrivals.wait()
            latencies += arrivals.times.map { $0 - start }
        }
        latencies.sort()
        let each = subscribers > 1 ? String(format: "%.1f kB each", Double(memory) / Double(subscribers)) : "-"
        report(
            "| \(subscribers) | \(count) | \(latencies.percentile(0.5)) | \(latencies.percentile(0.99)) "
                + "| \(latencies.percentile(1)) | \(each) |"
        )
        for channel in channels { try await channel.close() }
    }

    private func connect(_ arrivals: Arrivals) async throws -> [any Channel] {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FrameCounter(arrivals: arrivals))
                }
            }
        var channels: [any Channel] = []
        let request = "GET /api/projects/local/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        for _ in 0..<subscribers {
            let channel = try await bootstrap.connect(host: "127.0.0.1", port: port).get()
            try await channel.writeAndFlush(ByteBuffer(string: request))
            channels.append(channel)
        }
        return channels
    }

    private func change(_ round: Int) async throws {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/api/projects/local/workspaces/\(workspace)")
        request.method = .PUT
        request.body = .bytes(ByteBuffer(string: #"{"displayName":"round \#(round)"}"#))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        guard response.status == .ok else { throw ValidationError("the server answered \(response.status)") }
        _ = try await response.body.collect(upTo: 1 << 20)
    }

    private func residentKilobytes() -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(server)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    }
}

/// When each subscriber got the event of this round.
private final class Arrivals: Sendable {
    private let state = Mutex<[ContinuousClock.Instant]>([])
    private let subscribers: Int
    private let complete: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init(subscribers: Int) {
        self.subscribers = subscribers
        (complete, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var times: [ContinuousClock.Instant] { state.withLock { $0 } }

    func reset() {
        state.withLock { $0.removeAll(keepingCapacity: true) }
    }

    func add(_ time: ContinuousClock.Instant) {
        let count = state.withLock { times in
            times.append(time)
            return times.count
        }
        if count == subscribers { continuation.yield() }
    }

    func wait() async {
        for await _ in complete { return }
    }
}

/// Notes the time of each event: the greeting first, then one for each round.
private final class FrameCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let arrivals: Arrivals
    private var hasBeenGreeted = false

    init(arrivals: Arrivals) {
        self.arrivals = arrivals
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = ContinuousClock.now
        let buffer = unwrapInboundIn(data)
        if hasBeenGreeted {
            // A frame is small and sent at once, so it is never split on loopback; a comment is smaller still.
            if buffer.readableBytes > 20 { arrivals.add(now) }
        } else if String(buffer: buffer).contains("event: connected") {
            hasBeenGreeted = true
            arrivals.add(now)
        }
    }
}
