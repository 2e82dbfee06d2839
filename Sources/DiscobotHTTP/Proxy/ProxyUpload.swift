// SPDX-License-Identifier: Apache-2.0

import DiscobotTunnel
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// How the body of a request says where it ends.
enum ProxyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunks

    /// Throws `ProxyError` for a request that says it in more than one way. The parser in front refuses such ones, too.
    init(_ request: Request) throws {
        let codings = request.headers[values: .transferEncoding].map { $0.lowercased() }
        let lengths = request.headers[values: .contentLength]
        guard codings.isEmpty || (codings == ["chunked"] && lengths.isEmpty), lengths.count <= 1 else {
            throw ProxyError(.badRequest, "the request's body has no clear length")
        }
        if !codings.isEmpty {
            self = .chunks
        } else if let text = lengths.first {
            guard let length = Int(text), length >= 0 else {
                throw ProxyError(.badRequest, "the request's body has no clear length")
            }
            self = .length(length)
        } else {
            self = .none
        }
    }

    var field: String {
        switch self {
        case .none: ""
        case .length(let length): "Content-Length: \(length)\r\n"
        case .chunks: "Transfer-Encoding: chunked\r\n"
        }
    }
}

/// A request on its way to a service, beside the answer: a service may answer before it has read all.
final class ProxyUpload: Sendable {
    /// How long the client may take for the next piece of a request that has been answered.
    private static let lingering = TimeAmount.seconds(5)

    /// Whether the service has been sent all.
    private let task: Task<Bool, Never>
    private let clock: ProxyClock
    private let eventLoop: any EventLoop

    var hasExpired: Bool { clock.hasExpired }

    init(
        _ body: RequestBody,
        _ framing: ProxyFraming,
        after head: ByteBuffer,
        to owner: TunnelOwner,
        patience: TimeAmount
    ) {
        let clock = ProxyClock(owner.tunnel, patience)
        self.clock = clock
        eventLoop = owner.tunnel.eventLoop
        // Ends with the request's body, or when the answer has: see `end`.
        task = Task {
            do {
                try await owner.tunnel.write(head)
                guard framing != .none else { return true }
                for try await bytes in body where bytes.readableBytes > 0 {
                    clock.restart()
                    try await owner.tunnel.write(framing == .chunks ? Self.chunk(bytes) : bytes)
                }
                if framing == .chunks { try await owner.tunnel.write(ByteBuffer(string: "0\r\n\r\n")) }
                return true
            } catch is CancellationError {
                return false
            } catch {
                // The service does not want more of it and may answer all the same, or the client is gone.
                owner.tunnel.finish()
                return false
            }
        }
        clock.restart()
    }

    private static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer()
        chunk.reserveCapacity(bytes.readableBytes + 20)
        chunk.writeString(String(bytes.readableBytes, radix: 16) + "\r\n")
        chunk.writeImmutableBuffer(bytes)
        chunk.writeStaticString("\r\n")
        return chunk
    }

    /// From now on the service may take its time.
    func stopClock() {
        clock.stop()
    }

    /// The service has as long again as in the beginning.
    func restartClock() {
        clock.restart()
    }

    /// Returns when nobody reads the request's body any more: whether the service has been sent all of it. What is left of
    /// the body is for the server to skip; the next piece goes nowhere when the tunnel is closed.
    ///
    /// Reading the body cannot be broken off without breaking the connection of a client that may have sent all of it and
    /// goes on to its next request. So that is only done to one that says nothing in the midst of its request.
    @discardableResult
    func end() async -> Bool {
        clock.stop()
        let breakOff = eventLoop.scheduleTask(in: Self.lingering) { [task] in task.cancel() }
        defer { breakOff.cancel() }
        return await task.value
    }

    /// The same at once, where the client's connection ends anyway.
    func breakOff() async {
        clock.stop()
        task.cancel()
        _ = await task.value
    }
}

/// Closes a tunnel when nothing happens for a while.
private final class ProxyClock: Sendable {
    private struct State {
        var scheduled: Scheduled<Void>?
        var hasExpired = false
        var isStopped = false
    }

    private let tunnel: ByteTunnel
    private let patience: TimeAmount
    private let state = Mutex(State())

    init(_ tunnel: ByteTunnel, _ patience: TimeAmount) {
        self.tunnel = tunnel
        self.patience = patience
    }

    var hasExpired: Bool { state.withLock { $0.hasExpired } }

    func restart() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.scheduled?.cancel()
            state.scheduled = tunnel.eventLoop.scheduleTask(in: patience) { [self] in
                self.state.withLock { $0.hasExpired = true }
                tunnel.close()
            }
        }
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.scheduled?.cancel()
            state.scheduled = nil
        }
    }
}
