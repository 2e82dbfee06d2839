// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc

/// A pipe whose writing end a sandbox holds for its whole life, and nobody else. So any server, also a later one, sees
/// whether it lives, and is told at once when it ends, without knowing a process id.
struct LifeLine: Sendable {
    let path: String

    /// Throws `SandboxError` when this process can open no more files, and so cannot tell.
    var isHeld: Bool {
        get throws {
            guard let descriptor = try PrivateFile.open(path) else { return false }
            defer { close(descriptor) }
            return Self.isHeld(descriptor)
        }
    }

    /// The end of the file is what a pipe without writers reads as.
    private static func isHeld(_ descriptor: CInt) -> Bool {
        var byte: UInt8 = 0
        return read(descriptor, &byte, 1) != 0
    }

    /// Calls `whenEnded` once, when nobody holds it any more; nil when that is so already.
    func watch(_ whenEnded: @escaping @Sendable () -> Void) throws -> PipeWatch? {
        guard let descriptor = try PrivateFile.open(path) else { return nil }
        guard Self.isHeld(descriptor) else {
            close(descriptor)
            return nil
        }
        return PipeWatch(descriptor) { news in
            guard news == .end else { return false }
            whenEnded()
            return true
        }
    }

    /// Whether it has ended within that time.
    func hasEnded(within limit: Duration) async throws -> Bool {
        let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
        guard let watch = try watch({ continuation.finish() }) else { return true }
        defer { watch.cancel() }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in ends {}
                return !Task.isCancelled
            }
            group.addTask {
                try? await Task.sleep(upTo: limit)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}

/// A pipe to which a sandbox writes when its runtime begins.
struct StartSignal {
    private let watch: PipeWatch
    private let signals: AsyncStream<Bool>

    /// Listens from now on; nil when there is no such pipe.
    init?(path: String) throws {
        guard let descriptor = try PrivateFile.open(path) else { return nil }
        let (signals, continuation) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingOldest(1))
        watch = PipeWatch(descriptor) { news in
            continuation.yield(news == .bytes)
            continuation.finish()
            return true
        }
        self.signals = signals
    }

    /// Lets go of the pipe.
    func cancel() {
        watch.cancel()
    }

    /// False when nothing is left that could begin, and when the time is over.
    func hasCome(within limit: Duration) async -> Bool {
        let signals = signals
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { await signals.first { _ in true } ?? false }
            group.addTask {
                try? await Task.sleep(upTo: limit)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}
