// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Bounds what is on its way to a peer, by pings whose payloads say how much was sent before them.
///
/// The buffers of kernels and networks may hold seconds of output, and whoever wants to stop it would have to see all of
/// that first.
final class WebSocketWindow: Sendable {
    private struct State {
        var sent: UInt64 = 0
        /// Up to where the peer has been asked.
        var asked: UInt64 = 0
        /// Up to where it has answered.
        var answered: UInt64 = 0
        var isFinished = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter: UInt64 = 0
    }

    private let size: UInt64
    private let state = Mutex(State())

    init(size: Int) {
        self.size = UInt64(size)
    }

    /// Returns when there is room, or the connection ends.
    func wait() async throws {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasRoom = state.withLock { state in
                    if state.isFinished || Task.isCancelled || state.sent - state.answered < size { return true }
                    state.waiters[number] = continuation
                    return false
                }
                if hasRoom { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
        try Task.checkCancellation()
    }

    /// Notes what was sent; returns the payload of a ping when it is time for one.
    func sent(_ count: Int) -> ByteBuffer? {
        state.withLock { state in
            state.sent += UInt64(count)
            guard state.sent - state.asked >= size / 4 else { return nil }
            state.asked = state.sent
            return ByteBuffer(integer: state.sent)
        }
    }

    func answered(_ payload: ByteBuffer) {
        guard payload.readableBytes == 8, let mark = payload.getInteger(at: payload.readerIndex, as: UInt64.self) else {
            return
        }
        release { state in
            // A peer may answer what it was not asked.
            if mark <= state.asked { state.answered = max(state.answered, mark) }
            return state.sent - state.answered < size
        }
    }

    /// Lets everybody go on.
    func finish() {
        release { state in
            state.isFinished = true
            return true
        }
    }

    private func release(_ update: (inout State) -> Bool) {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            guard update(&state) else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }
}
