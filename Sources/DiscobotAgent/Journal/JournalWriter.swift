// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotHTTP
import Glibc
import Synchronization
import SystemPackage

/// Writes the answer of one completion: every chunk is in the file before a reader hears of it.
package final class JournalWriter: Sendable {
    private struct State {
        var sequence: ChunkSequence
        var bytes: Int
        /// Lines that the sequence knows of and the disk did not take; the end goes on from them.
        var lost: [UInt8] = []
    }

    private let file: JournalFile
    private let descriptor: FileDescriptor
    private let reserve: JournalReserve
    private let limit: Int
    private let state: Mutex<State>

    /// - Parameter limit: the bytes from which on the file takes nothing but the end.
    init(
        _ file: JournalFile,
        _ descriptor: FileDescriptor,
        sequence: ChunkSequence,
        reserve: JournalReserve,
        limit: Int
    ) {
        self.file = file
        self.descriptor = descriptor
        self.reserve = reserve
        self.limit = limit
        state = Mutex(State(sequence: sequence, bytes: file.extent.bytes))
    }

    deinit {
        try? descriptor.close()
    }

    /// Keeps what becomes of a driver's chunk. Throws `DriverError` when the disk does not take it, or the answer is too
    /// long.
    package func append(_ chunk: Chunk) throws {
        try state.withLock { state in
            // Before the chunk gets its place in the order, so that nothing is missing from it.
            guard state.bytes < limit else { throw DriverError(Self.isTooLong(limit)) }
            let lines = try Self.lines(of: state.sequence.append(chunk))
            do {
                try write(state.lost + lines, &state)
                state.lost = []
            } catch {
                state.lost += lines
                throw DriverError(Self.explanation(error))
            }
            let bytes = state.bytes
            file.announce { $0.bytes = bytes }
        }
    }

    /// Ends the answer; what the disk does not take is kept in memory, so that readers see the end in any case.
    package func end(_ ending: ChunkSequence.Ending) {
        state.withLock { state in
            guard let end = try? Self.lines(of: state.sequence.end(ending)), !end.isEmpty else { return }
            let lines = state.lost + end
            var unwritten: [UInt8] = []
            do {
                reserve.release()
                try write(lines, &state)
            } catch {
                unwritten = lines
            }
            reserve.restore()
            let bytes = state.bytes
            file.announce { extent in
                extent.bytes = bytes
                extent.unwritten = unwritten
                extent.isEnded = true
                if case .failed(let message) = ending { extent.error = message }
            }
        }
    }

    private static func lines(of chunks: [Chunk]) throws -> [UInt8] {
        try chunks.reduce(into: []) { lines, chunk in
            lines += try JSONEncoding.bytes(of: chunk)
            lines.append(UInt8(ascii: "\n"))
        }
    }

    private func write(_ lines: [UInt8], _ state: inout State) throws {
        guard !lines.isEmpty else { return }
        do {
            try descriptor.writeAll(lines)
            state.bytes += lines.count
        } catch {
            // Half a line would spoil what follows.
            _ = ftruncate(descriptor.rawValue, off_t(state.bytes))
            _ = try? descriptor.seek(offset: Int64(state.bytes), from: .start)
            throw error
        }
    }

    private static func isTooLong(_ limit: Int) -> String {
        let amount = limit < 1 << 20 ? "\(limit) bytes" : "\(limit >> 20) MiB"
        return "the answer was ended: it has reached \(amount), the most that is kept of one"
    }

    private static func explanation(_ error: any Error) -> String {
        switch error as? Errno {
        case .noSpace, .diskQuotaExceeded: "the session's disk is full; delete files that are not needed, and try again"
        default: "the answer could not be kept: \(error)"
        }
    }
}

/// Some room on the disk for the end of an answer, when there is no other left.
final class JournalReserve: Sendable {
    private static let size = 64 << 10
    private let path: String

    init(path: String) {
        self.path = path
        restore()
    }

    func release() {
        unlink(path)
    }

    func restore() {
        guard
            let file = try? FileDescriptor.open(
                FilePath(path),
                .writeOnly,
                options: [.create, .closeOnExec, .truncate],
                permissions: .ownerReadWrite
            )
        else { return }
        defer { try? file.close() }
        _ = try? file.writeAll([UInt8](repeating: 0, count: Self.size))
    }
}
