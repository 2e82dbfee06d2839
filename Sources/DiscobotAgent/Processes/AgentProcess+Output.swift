// SPDX-License-Identifier: Apache-2.0

import Subprocess
import Synchronization

extension AgentProcess {
    /// What a process writes, as it comes.
    package struct Chunks: AsyncSequence, Sendable {
        package typealias Element = [UInt8]
        let base: SubprocessOutputSequence

        package struct Iterator: AsyncIteratorProtocol {
            var base: SubprocessOutputSequence.Iterator

            package mutating func next() async throws -> [UInt8]? {
                guard let buffer = try await base.next() else { return nil }
                return buffer.withUnsafeBytes { Array($0) }
            }
        }

        package func makeAsyncIterator() -> Iterator {
            Iterator(base: base.makeAsyncIterator())
        }
    }

    /// What a process writes, line by line; the last one may lack its line break.
    package struct Lines: AsyncSequence, Sendable {
        package typealias Element = [UInt8]
        let base: Chunks
        let limit: Int

        package struct Iterator: AsyncIteratorProtocol {
            var base: Chunks.Iterator
            var splitter: LineSplitter

            package mutating func next() async throws -> [UInt8]? {
                while true {
                    if let line = try splitter.next() { return line }
                    guard let bytes = try await base.next() else { return splitter.finish() }
                    splitter.append(bytes)
                }
            }
        }

        package func makeAsyncIterator() -> Iterator {
            Iterator(base: base.makeAsyncIterator(), splitter: LineSplitter(limit: limit))
        }
    }
}

/// Cuts bytes into lines, looking at each byte once.
struct LineSplitter {
    private let limit: Int
    private var bytes: [UInt8] = []
    /// Where the next line begins, and up to where there is no line break.
    private var start = 0
    private var searched = 0

    init(limit: Int) {
        self.limit = limit
    }

    mutating func append(_ new: [UInt8]) {
        bytes.removeFirst(start)
        searched -= start
        start = 0
        bytes += new
    }

    /// A whole line; nil when there is none yet. Throws `DriverError` when the line has more than `limit` bytes.
    mutating func next() throws -> [UInt8]? {
        guard let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = bytes.count
            guard bytes.count - start <= limit else { throw tooLong }
            return nil
        }
        guard end - start <= limit else { throw tooLong }
        defer {
            start = end + 1
            searched = start
        }
        return Array(bytes[start..<end])
    }

    /// What is left at the end; nil for nothing.
    mutating func finish() -> [UInt8]? {
        defer {
            bytes = []
            start = 0
            searched = 0
        }
        return start < bytes.count ? Array(bytes[start...]) : nil
    }

    private var tooLong: DriverError { DriverError("the agent wrote a line of more than \(limit) bytes") }
}

/// Keeps the last lines of standard error.
final class ErrorTail: Sendable {
    private struct State {
        var lines: [String] = []
        var current: [UInt8] = []
    }

    private static let lineLimit = 4096
    private static let limit = 64
    private let state = Mutex(State())

    var lines: [String] {
        state.withLock { state in
            let last = state.current.isEmpty ? [] : [String(decoding: state.current, as: UTF8.self)]
            return Array((state.lines + last).suffix(Self.limit))
        }
    }

    /// The lines as the end of a message; empty when there are none.
    var explanation: String {
        let lines = lines
        return lines.isEmpty ? "" : ": " + lines.joined(separator: "\n")
    }

    /// Reads to the end.
    ///
    /// - Parameter listener: told of all that is read.
    func read(_ sequence: SubprocessOutputSequence, _ listener: (@Sendable ([UInt8]) async -> Void)?) async {
        do {
            for try await buffer in sequence {
                let bytes = buffer.withUnsafeBytes { Array($0) }
                append(bytes)
                await listener?(bytes)
            }
        } catch {
            // What standard error says is only an explanation; how the process ends is told by others.
        }
    }

    func append(_ bytes: some Sequence<UInt8>) {
        state.withLock { state in
            for byte in bytes {
                if byte != UInt8(ascii: "\n") {
                    if state.current.count < Self.lineLimit { state.current.append(byte) }
                    continue
                }
                state.lines.append(String(decoding: state.current, as: UTF8.self))
                state.current.removeAll(keepingCapacity: true)
                if state.lines.count > Self.limit { state.lines.removeFirst() }
            }
        }
    }
}
