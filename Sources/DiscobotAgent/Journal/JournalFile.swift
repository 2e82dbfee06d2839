// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import FoundationEssentials
import Glibc
import Synchronization
import SystemPackage

/// The first line of a completion's file: what was asked.
struct JournalHeader: Codable, Sendable {
    let message: UIMessage
    let startedAt: Timestamp
}

/// A completion on disk: a line for what was asked, then one for each chunk.
///
/// One writer and any number of readers, who read the file up to what the writer has announced.
final class JournalFile: Sendable {
    /// Why a reader is woken; only the last reason counts.
    enum WakeUp {
        case news, keepAlive
    }

    struct Extent: Equatable {
        var bytes = 0
        var isEnded = false
        /// What the disk had no room for: the end of the answer, as lines.
        var unwritten: [UInt8] = []
        /// Why the completion has failed.
        var error: String?
    }

    private struct State {
        var extent: Extent
        var lastReader = 0
        var readers: [Int: AsyncStream<WakeUp>.Continuation] = [:]
    }

    let completion: String
    let path: String
    let startedAt: Timestamp
    private let state: Mutex<State>

    init(completion: String, path: String, startedAt: Timestamp, extent: Extent) {
        self.completion = completion
        self.path = path
        self.startedAt = startedAt
        state = Mutex(State(extent: extent))
    }

    var extent: Extent { state.withLock { $0.extent } }

    /// Tells readers that there is more.
    func announce(_ change: (inout Extent) -> Void) {
        let readers = state.withLock { state in
            change(&state.extent)
            return state.readers.values.map { $0 }
        }
        for reader in readers { reader.yield(.news) }
    }

    /// Wakes the readers although there is nothing new, so that they say that they are alive.
    func wakeReaders() {
        let readers = state.withLock { $0.readers.values.map { $0 } }
        for reader in readers { reader.yield(.keepAlive) }
    }

    /// Wake-ups from now on, the first at once; none is lost, and none piles up.
    func wakeUps() -> (stream: AsyncStream<WakeUp>, stop: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: WakeUp.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.lastReader += 1
            state.readers[state.lastReader] = continuation
            return state.lastReader
        }
        continuation.yield(.news)
        return (
            stream,
            {
                continuation.finish()
                _ = self.state.withLock { $0.readers.removeValue(forKey: number) }
            }
        )
    }

    /// Gives `body` what was asked and the chunks of the answer so far, as lines, until it returns false. Throws `Errno`.
    func forEachLine(_ body: (ArraySlice<UInt8>) throws -> Bool) throws {
        let extent = extent
        let descriptor = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
        var goesOn = true
        try descriptor.closeAfter {
            try descriptor.forEachLine(before: extent.bytes) { line in
                goesOn = try body(line)
                return goesOn
            }
        }
        for line in extent.unwritten.split(separator: 0x0A) where goesOn { goesOn = try body(line) }
    }
}
