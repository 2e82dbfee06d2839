// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import Synchronization

/// What one run of a service has written: the newest part, in memory, for any number of readers.
///
/// Neither the service nor anybody else waits for a reader; one that is too slow misses what has been dropped.
final class ServiceOutput: Sendable {
    /// What a reader is given at a time.
    struct Batch: Equatable {
        /// Frames of an event stream.
        var frames: [UInt8] = []
        /// The number of the last event in them, or before them.
        var last: Int
        /// Whether nothing follows.
        var isEnded: Bool
    }

    private struct State {
        var lines: [[UInt8]] = []
        /// How many bytes these have.
        var size = 0
        /// The number of the first one.
        var first = 1
        var isEnded = false
        var readers: [Int: AsyncStream<Void>.Continuation] = [:]
        var lastReader = 0
    }

    /// Above this the older half goes.
    static let limit = 1 << 20
    private static let batchLimit = 128 << 10

    /// Tells this run from others of the service.
    private let run: String
    /// The last words, for those who ask why a service does not answer.
    let tail = OutputTail(limit: 4 << 10)
    private let state = Mutex(State())

    init(startedAt: Timestamp) {
        run = String(startedAt.milliseconds, radix: 36)
    }

    func append(_ event: ServiceOutputEvent) {
        guard let line = try? JSONEncoding.bytes(of: event) else { return }
        if let text = event.data ?? event.error { tail.append(Array(text.utf8)) }
        state.withLock { state in
            guard !state.isEnded else { return }
            state.lines.append(line)
            state.size += line.count
            if state.size > Self.limit { Self.dropHalf(&state) }
            for reader in state.readers.values { reader.yield() }
        }
    }

    private static func dropHalf(_ state: inout State) {
        var count = 0
        while state.size > limit / 2, count < state.lines.count - 1 {
            state.size -= state.lines[count].count
            count += 1
        }
        state.lines.removeFirst(count)
        state.first += count
    }

    /// Nothing follows.
    func end() {
        state.withLock { state in
            state.isEnded = true
            for reader in state.readers.values { reader.finish() }
            state.readers = [:]
        }
    }

    /// The events after number `last`; more are there when it is not the newest one.
    func events(after last: Int) -> Batch {
        state.withLock { state in
            var batch = Batch(last: max(last, state.first - 1), isEnded: false)
            let newest = state.first + state.lines.count - 1
            while batch.last < newest, batch.frames.count < Self.batchLimit {
                batch.last += 1
                batch.frames += Array("id: \(run)-\(batch.last)\ndata: ".utf8)
                batch.frames += state.lines[batch.last - state.first]
                batch.frames += Array("\n\n".utf8)
            }
            batch.isEnded = state.isEnded && batch.last >= newest
            return batch
        }
    }

    /// The number that an event's id has in this run; 0 for one of another run.
    func number(of id: String?) -> Int {
        let parts = id?.split(separator: "-") ?? []
        guard parts.count == 2, parts[0] == run, let number = Int(parts[1]), number >= 0, number < 1 << 53 else {
            return 0
        }
        return number
    }

    /// Something to wait for; it ends with the output, or when it is told to stop.
    func wakeUps() -> (AsyncStream<Void>, stop: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        continuation.yield()
        let reader = state.withLock { state -> Int? in
            guard !state.isEnded else { return nil }
            state.lastReader += 1
            state.readers[state.lastReader] = continuation
            return state.lastReader
        }
        if reader == nil { continuation.finish() }
        return (
            stream,
            {
                if let reader { _ = self.state.withLock { $0.readers.removeValue(forKey: reader) } }
                continuation.finish()
            }
        )
    }

    /// Has streams say that they are alive.
    func wakeReaders() {
        state.withLock { state in for reader in state.readers.values { reader.yield() } }
    }
}
