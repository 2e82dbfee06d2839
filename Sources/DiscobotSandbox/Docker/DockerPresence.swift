// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Tells readers whether the engine answers, beginning with what is known already.
final class DockerPresence: Sendable {
    private struct State {
        var next = 0
        var last: SandboxEnginePresence?
        var readers: [Int: AsyncStream<SandboxEnginePresence>.Continuation] = [:]
    }

    private let state = Mutex(State())

    func stream() -> AsyncStream<SandboxEnginePresence> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: SandboxEnginePresence.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let number = state.withLock { state in
            state.next += 1
            state.readers[state.next] = continuation
            if let last = state.last { continuation.yield(last) }
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.readers.removeValue(forKey: number) }
        }
        return stream
    }

    /// That it is still absent is no news.
    func publish(_ presence: SandboxEnginePresence) {
        let readers: [AsyncStream<SandboxEnginePresence>.Continuation] = state.withLock { state in
            if case .absent = presence, case .absent? = state.last { return [] }
            state.last = presence
            return Array(state.readers.values)
        }
        for reader in readers { reader.yield(presence) }
    }
}
