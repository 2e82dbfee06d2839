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
        var readers: [Int: AsyncStream<Void>.Continuation] = [:]
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
        for reader in readers { reader.yield() }
    }

    /// Wakes the readers although there is nothing new, so that they say that they are alive.
    func wakeReaders() {
        announce { _ in }
    }

    /// Wake-ups from now on, the first at once; none is lost, and none piles up.
    func wakeUps() -> (stream: AsyncStream<Void>, stop: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.lastReader += 1
            state.readers[state.lastReader] = continuation
            return state.lastReader
        }
        continuation.yield()
        return (
            stream,
            {
                continuation.finish()
                _ = self.state.withLock { $0.readers.removeValue(forKey: number) }
            }
        )
    }

    /// What was asked, and the chunks of the answer so far.
    func contents() throws -> (header: JournalHeader, chunks: [Chunk]) {
        let decoder = JSONDecoder()
        var lines = Array(try Data(contentsOf: URL(filePath: path)).prefix(extent.bytes))
            .split(separator: UInt8(ascii: "\n"))
        lines += extent.unwritten.split(separator: UInt8(ascii: "\n"))
        guard let first = lines.first else { throw DriverError("the journal of \(completion) is empty") }
        let header = try decoder.decode(JournalHeader.self, from: Data(first))
        return (header, try lines.dropFirst().map { try decoder.decode(Chunk.self, from: Data($0)) })
    }
}
