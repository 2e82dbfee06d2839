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
    package struct Limits: Sendable {
        /// How many completions are kept, and bytes of them; the newest is kept in any case.
        package var completions = 50
        package var bytes = 512 << 20
        /// An answer that has reached this is ended; it may be larger by its last chunk and its end.
        package var turn = 256 << 20
        /// How much of the completions ``Journal/messages()`` folds.
        package var history = 16 << 20

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
            let sequence = ChunkSequence(messageID: messageID)
            return JournalWriter(file, descriptor, sequence: sequence, reserve: reserve, limit: limits.turn)
        } catch {
            throw DriverError("the session's disk does not take the answer: \(error)")
        }
    }

    /// What was said, as far as the limit allows: the oldest is left out. Throws when a file cannot be read.
    func messages() throws -> [UIMessage] {
        try JournalHistory.messages(of: all, limit: limits.history)
    }

    /// Forgets the oldest completions above the limits, but neither the newest nor one that runs.
    func removeOldest() {
        let removed = files.withLock { files in
            let newest = files.last
            var bytes = files.reduce(0) { $0 + $1.extent.bytes }
            var ended = files.count { $0.extent.isEnded }
            var removed: [JournalFile] = []
            files.removeAll { file in
                let isAbove = ended > limits.completions || bytes > limits.bytes
                guard isAbove, file.extent.isEnded, file !== newest else { return false }
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
    static let interruption = ChunkSequence.Ending.interruption

    /// Nil for a file of which not even the header was written.
    private func recover(_ name: String) throws -> JournalFile? {
        let parts = name.dropLast(Self.suffix.count).split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let milliseconds = Int64(parts[0]) else { return nil }
        let path = "\(directory)/\(name)"
        let descriptor = try FileDescriptor.open(FilePath(path), .readWrite, options: .closeOnExec)
        let size = Int(try descriptor.seek(offset: 0, from: .end))
        let whole = try descriptor.lineEnd(before: size)
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
        try descriptor.forEachLine(before: file.extent.bytes) { line in
            if let chunk = try? JSONDecoder().decode(Chunk.self, from: Data(line)) { sequence.resume(chunk) }
            return true
        }
        try descriptor.seek(offset: 0, from: .end)
        JournalWriter(file, descriptor, sequence: sequence, reserve: reserve, limit: limits.turn)
            .end(.failed(message: Self.interruption))
    }

    private static func lastChunk(_ descriptor: FileDescriptor, _ size: Int) throws -> Chunk? {
        let start = try descriptor.lineEnd(before: size - 1)
        guard start > 0 else { return nil }
        return try? JSONDecoder().decode(Chunk.self, from: Data(try descriptor.read(start..<size)))
    }
}
