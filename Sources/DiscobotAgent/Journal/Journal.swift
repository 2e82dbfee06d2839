// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotHTTP
import DiscobotModel
import FoundationEssentials
import Glibc
import Synchronization
import SystemPackage

/// The answers of the conversation on the data volume: they outlive the runtime, and readers resume from them.
package final class Journal: Sendable {
    /// How much is kept of completions that have ended.
    package struct Limits: Sendable {
        package var completions = 50
        package var bytes = 512 << 20

        package init() {}
    }

    private let directory: String
    private let limits: Limits
    private let reserve: JournalReserve
    /// Oldest first.
    private let files: Mutex<[JournalFile]>

    /// Opens the journal in `directory`, and ends what was running when the runtime was killed.
    package init(directory: String, limits: Limits = Limits()) throws {
        self.directory = directory
        self.limits = limits
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        reserve = JournalReserve(path: directory + "/reserve")
        files = Mutex([])
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(Self.suffix) }
        let found = names.sorted().compactMap { name in
            do {
                return try recover(name)
            } catch {
                // One answer that cannot be read must not keep the session from going on.
                rename("\(directory)/\(name)", "\(directory)/\(name).damaged")
                return nil
            }
        }
        files.withLock { $0 = found }
        removeOldest()
    }

    /// All that is kept, oldest first.
    var all: [JournalFile] { files.withLock { $0 } }

    func file(_ completion: String) -> JournalFile? {
        files.withLock { files in files.last { $0.completion == completion } }
    }

    /// Whether a text can be the id of a completion, and part of a file's name.
    static func isValid(_ completion: String) -> Bool {
        !completion.isEmpty && completion.utf8.count <= 128 && completion.utf8.first != UInt8(ascii: ".")
            && completion.utf8.allSatisfy(Self.idBytes.contains)
    }

    /// Begins a completion; it is known from then on, also after a crash. Throws `DriverError` when the disk is full.
    func begin(_ completion: String, message: UIMessage, messageID: String) throws -> JournalWriter {
        let startedAt = Timestamp.now
        let path = "\(directory)/\(Self.name(completion, startedAt))"
        let header = try JSONEncoding.bytes(of: JournalHeader(message: message, startedAt: startedAt)) + [0x0A]
        do {
            let descriptor = try FileDescriptor.open(
                FilePath(path),
                .writeOnly,
                options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite
            )
            do {
                try descriptor.writeAll(header)
            } catch {
                try? descriptor.close()
                unlink(path)
                throw error
            }
            let file = JournalFile(
                completion: completion,
                path: path,
                startedAt: startedAt,
                extent: .init(bytes: header.count)
            )
            files.withLock { $0.append(file) }
            return JournalWriter(file, descriptor, sequence: ChunkSequence(messageID: messageID), reserve: reserve)
        } catch {
            throw DriverError("the session's disk does not take the answer: \(error)")
        }
    }

    /// Forgets the oldest completions above the limits.
    func removeOldest() {
        let removed = files.withLock { files in
            var bytes = files.reduce(0) { $0 + $1.extent.bytes }
            var ended = files.count { $0.extent.isEnded }
            var removed: [JournalFile] = []
            files.removeAll { file in
                guard file.extent.isEnded, ended > limits.completions || bytes > limits.bytes else { return false }
                ended -= 1
                bytes -= file.extent.bytes
                removed.append(file)
                return true
            }
            return removed
        }
        for file in removed { unlink(file.path) }
    }

    /// Forgets everything; nothing may be running.
    func removeAll() {
        let removed = files.withLock { files in
            defer { files = [] }
            return files
        }
        for file in removed { unlink(file.path) }
    }

    private static let suffix = ".jsonl"
    private static let idBytes = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.".utf8)

    /// By name in the order of their starts.
    private static func name(_ completion: String, _ startedAt: Timestamp) -> String {
        let digits = String(startedAt.milliseconds)
        return String(repeating: "0", count: max(0, 15 - digits.count)) + digits + "-" + completion + suffix
    }
}

// After a restart.
extension Journal {
    /// What a runtime that was killed says of its last completion.
    static let interruption = "the agent's runtime was interrupted; send the message again to go on"

    /// Nil for a file of which not even the header was written.
    private func recover(_ name: String) throws -> JournalFile? {
        let parts = name.dropLast(Self.suffix.count).split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let milliseconds = Int64(parts[0]) else { return nil }
        let path = "\(directory)/\(name)"
        let descriptor = try FileDescriptor.open(FilePath(path), .readWrite, options: .closeOnExec)
        let size = Int(try descriptor.seek(offset: 0, from: .end))
        let whole = try Self.lineEnd(descriptor, before: size)
        guard whole > 0 else {
            try? descriptor.close()
            unlink(path)
            return nil
        }
        if whole < size { _ = ftruncate(descriptor.rawValue, off_t(whole)) }
        let file = JournalFile(
            completion: String(parts[1]),
            path: path,
            startedAt: Timestamp(milliseconds: milliseconds),
            extent: .init(bytes: whole)
        )
        if let last = try Self.lastChunk(descriptor, whole), last.isTerminal {
            try? descriptor.close()
            file.announce { extent in
                extent.isEnded = true
                if case .error(let message) = last { extent.error = message }
            }
        } else {
            try interrupt(file, descriptor)
        }
        return file
    }

    private func interrupt(_ file: JournalFile, _ descriptor: FileDescriptor) throws {
        var sequence = ChunkSequence(messageID: Conversation.messageID(of: file.completion))
        try Self.forEachLine(descriptor, file.extent.bytes) { line in
            if let chunk = try? JSONDecoder().decode(Chunk.self, from: Data(line)) { sequence.resume(chunk) }
        }
        try descriptor.seek(offset: 0, from: .end)
        JournalWriter(file, descriptor, sequence: sequence, reserve: reserve).end(.failed(message: Self.interruption))
    }

    /// The end of the last whole line before `end`; 0 when there is none.
    private static func lineEnd(_ descriptor: FileDescriptor, before end: Int) throws -> Int {
        var end = end
        while end > 0 {
            let start = max(0, end - 64 << 10)
            let block = try read(descriptor, start..<end)
            if let index = block.lastIndex(of: 0x0A) { return start + index + 1 }
            end = start
        }
        return 0
    }

    private static func lastChunk(_ descriptor: FileDescriptor, _ size: Int) throws -> Chunk? {
        let start = try lineEnd(descriptor, before: size - 1)
        guard start > 0 else { return nil }
        return try? JSONDecoder().decode(Chunk.self, from: Data(try read(descriptor, start..<size)))
    }

    /// The lines up to `end`, the header among them, without holding them all.
    private static func forEachLine(
        _ descriptor: FileDescriptor,
        _ end: Int,
        _ body: (ArraySlice<UInt8>) -> Void
    ) throws {
        var (partial, start): ([UInt8], Int) = ([], 0)
        while start < end {
            var rest = (partial + (try read(descriptor, start..<min(start + 256 << 10, end))))[...]
            start = min(start + 256 << 10, end)
            while let lineEnd = rest.lineEnd {
                body(rest[..<lineEnd])
                rest = rest[(lineEnd + 1)...]
            }
            partial = Array(rest)
        }
    }

    private static func read(_ descriptor: FileDescriptor, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        let count = try bytes.withUnsafeMutableBytes {
            try descriptor.read(fromAbsoluteOffset: Int64(range.lowerBound), into: $0)
        }
        return Array(bytes.prefix(count))
    }
}
