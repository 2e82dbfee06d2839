// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Synchronization

/// A WebSocket connection (RFC 6455) over a tunnel.
///
/// Messages are taken from the peer when they are asked for, so a slow reader holds its peer up and nothing piles up here.
/// Pings are answered while messages are waited for. One task may receive, many may send.
package final class WebSocket: Sendable {
    package enum Side: Sendable {
        case server, client
    }

    package struct Settings: Sendable {
        /// Larger messages end the connection with 1009.
        package var maximumMessage = 1 << 20
        /// How often the peer is pinged; one that has not answered by the next time is dead, and so is one that takes
        /// nothing meanwhile of what waits for it.
        package var pingInterval: Duration = .seconds(30)
        /// How long the peer may take to answer a close.
        package var closeTimeout: TimeAmount = .seconds(3)
        /// How many bytes may be on their way, as the peer's answers to pings tell; nil for what the network takes.
        /// Sending waits for such an answer, so the peer's reader must be at work.
        package var window: Int?

        package init() {}
    }

    private let tunnel: ByteTunnel
    private let side: Side
    private let settings: Settings
    private let parser: Mutex<WebSocketParser>
    private let window: WebSocketWindow?
    private let state = Mutex(State())

    private struct State {
        var hasSentClose = false
        var isPingUnanswered = false
        /// How many messages the kernel has taken.
        var takenCount = 0
        var peerClose: WebSocketClose?
    }

    /// Serves one side of a connection while `body` runs, then ends it: with 1000, or 1011 when `body` throws, unless
    /// one side has done so before.
    package static func run<Value: Sendable>(
        over tunnel: ByteTunnel,
        as side: Side,
        _ settings: Settings = Settings(),
        body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        let socket = WebSocket(tunnel, side, settings)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await socket.keepAlive() }
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(socket))
                socket.close(WebSocketClose(WebSocketClose.normal))
            } catch {
                result = .failure(error)
                socket.close(WebSocketClose(WebSocketClose.internalError, "internal error"))
            }
            group.cancelAll()
            await socket.finish()
            return try result.get()
        }
    }

    private init(_ tunnel: ByteTunnel, _ side: Side, _ settings: Settings) {
        self.tunnel = tunnel
        self.side = side
        self.settings = settings
        parser = Mutex(WebSocketParser(expectsMask: side == .server, maximumMessage: settings.maximumMessage))
        window = settings.window.map { WebSocketWindow(size: $0) }
    }

    /// The close that the peer has sent; nil while it has sent none, and when it vanished.
    package var peerClose: WebSocketClose? { state.withLock { $0.peerClose } }

    /// The next message; nil when the peer, or this side, has closed, or the connection is gone. Throws
    /// `CancellationError` only.
    package func receive() async throws -> WebSocketMessage? {
        while !state.withLock({ $0.hasSentClose }) {
            guard let event = try await nextEvent() else {
                // Nobody makes room in the window any more.
                window?.finish()
                return nil
            }
            switch event {
            case .message(let message): return message
            case .ping(let payload): try await answer(payload)
            case .pong(let payload): answered(payload)
            case .close(let close):
                state.withLock { $0.peerClose = close }
                send(close)
                return nil
            }
        }
        return nil
    }

    /// Nothing more is read of a peer that sends pings and does not take the answers.
    private func answer(_ ping: ByteBuffer) async throws {
        let pong = frame(.pong, ping)
        if tunnel.isWritable { return tunnel.post(pong) }
        // On a connection that is gone the next read says so.
        do { try await tunnel.write(pong) } catch let error as CancellationError { throw error } catch {}
    }

    /// Sends a message, waiting for a peer that is slow. Throws `ChannelError` when the connection is closed, and
    /// `CancellationError`.
    package func send(_ message: WebSocketMessage) async throws {
        let count = message.bytes.readableBytes
        try await window?.wait()
        guard !state.withLock({ $0.hasSentClose }) else { throw ChannelError.ioOnClosedChannel }
        try await tunnel.write(frame(message.kind == .text ? .text : .binary, message.bytes))
        state.withLock { $0.takenCount += 1 }
        if let mark = window?.sent(count) { tunnel.post(frame(.ping, mark)) }
    }

    /// Begins to end the connection, once; ``receive()`` returns nil from now on. Does not wait.
    package func close(_ close: WebSocketClose) {
        guard send(close) else { return }
        // Whoever waits for a message is freed by this when the peer does not answer.
        tunnel.close(in: settings.closeTimeout)
    }

    /// What comes next; nil when nothing does. A peer that violates the protocol is told so.
    private func nextEvent() async throws -> WebSocketParser.Event? {
        do {
            while true {
                if let event = try parser.withLock({ parser throws(WebSocketViolation) in try parser.next() }) {
                    return event
                }
                guard let bytes = try await tunnel.read() else { return nil }
                parser.withLock { $0.append(bytes) }
            }
        } catch let violation as WebSocketViolation {
            close(violation.close)
            return nil
        } catch let error as CancellationError {
            throw error
        } catch {
            return nil
        }
    }

    private func answered(_ payload: ByteBuffer) {
        state.withLock { $0.isPingUnanswered = false }
        window?.answered(payload)
    }

    /// False when a close has been sent before.
    @discardableResult
    private func send(_ close: WebSocketClose) -> Bool {
        let isFirst = state.withLock { state in
            defer { state.hasSentClose = true }
            return !state.hasSentClose
        }
        if isFirst { tunnel.post(WebSocketFrames.close(close, mask: mask)) }
        window?.finish()
        return isFirst
    }

    /// Returns when the peer is dead, after ending the connection.
    private func keepAlive() async throws {
        // How far the peer was when no ping could be sent the last time.
        var last: (taken: Int, waiting: Int)?
        while true {
            try await Task.sleep(for: settings.pingInterval)
            // One that nobody reads from may have answered.
            if state.withLock({ $0.isPingUnanswered }), await tunnel.isListening() { return tunnel.close() }
            if tunnel.isWritable {
                last = nil
                state.withLock { $0.isPingUnanswered = true }
                tunnel.post(frame(.ping, ByteBuffer()))
            } else {
                // A ping would only wait behind the rest. A slow peer takes some of that until the next time.
                let now = (taken: state.withLock { $0.takenCount }, waiting: await tunnel.waitingBytes())
                if let last, now.taken == last.taken, now.waiting >= last.waiting { return tunnel.close() }
                last = now
            }
        }
    }

    /// Waits for the peer's answer to a close, and ends the connection.
    private func finish() async {
        if peerClose == nil {
            while let event = try? await nextEvent() {
                guard case .close(let close) = event else { continue }
                state.withLock { $0.peerClose = close }
                break
            }
        }
        await tunnel.closeGently(patience: settings.closeTimeout)
    }

    private func frame(_ opcode: WebSocketFrames.Opcode, _ payload: ByteBuffer) -> ByteBuffer {
        WebSocketFrames.frame(opcode, payload, mask: mask)
    }

    private var mask: UInt32? { side == .client ? UInt32.random(in: .min ... .max) : nil }
}

extension WebSocket {
    /// The messages that come, for one reader.
    package struct Messages: AsyncSequence, AsyncIteratorProtocol {
        let socket: WebSocket

        package func makeAsyncIterator() -> Messages { self }

        package func next() async throws -> WebSocketMessage? {
            try await socket.receive()
        }
    }

    package var messages: Messages { Messages(socket: self) }
}
