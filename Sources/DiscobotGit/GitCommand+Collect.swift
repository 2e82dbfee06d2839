// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Subprocess
import SystemPackage

extension GitCommand {
    /// One run of git.
    struct Request: Sendable {
        var arguments: [String]
        var input: [UInt8] = []
        var files = GitCommand.Files()
        var variables: [String: String] = [:]
        var outputLimit = 32 << 20
        var acceptedExitCodes: Set<Int32> = [0]
        var onErrorLine: @Sendable (String) -> Void = { _ in }

        /// The subcommand, for messages.
        var name: String { arguments.first ?? "" }
    }

    /// What a process has written, complete or up to its limits.
    struct Collected: Sendable {
        var output: [UInt8]
        var isCut = false
        var errorText: String
    }

    /// Reads both outputs to their ends. Ends the group on failure: the leader is not reaped before this returns,
    /// so its number cannot be another process yet.
    func collect<Input: InputProtocol>(
        _ execution: Execution<Input, SequenceOutput, SequenceOutput>,
        _ request: Request
    ) async throws -> Collected {
        do {
            async let errorText = errorText(execution.standardError, request)
            let (output, isCut) = try await output(execution.standardOutput, request)
            if isCut {
                await execution.teardown(using: Self.politely)
                Self.killGroup(of: execution.processIdentifier.value)
            }
            let collected = Collected(output: output, isCut: isCut, errorText: try await errorText)
            // Reading ends quietly when the task is cancelled.
            try Task.checkCancellation()
            return collected
        } catch {
            await execution.teardown(using: Self.politely)
            Self.killGroup(of: execution.processIdentifier.value)
            throw error
        }
    }

    private func output(
        _ sequence: SubprocessOutputSequence,
        _ request: Request
    ) async throws -> (bytes: [UInt8], isCut: Bool) {
        var bytes: [UInt8] = []
        var count = 0
        for try await buffer in sequence {
            try Task.checkCancellation()
            let rest = request.outputLimit - count
            count += buffer.count
            guard buffer.count <= rest || request.files.isOutputCut else {
                throw GitError(.tooLarge, "git \(request.name) printed more than \(request.outputLimit) bytes")
            }
            try buffer.withUnsafeBytes { buffer in
                let part = buffer.prefix(rest)
                if let file = request.files.output {
                    try Self.write(part, to: file)
                } else {
                    bytes.append(contentsOf: part)
                }
            }
            if buffer.count > rest { return (bytes, true) }
        }
        return (bytes, false)
    }

    private static func write(_ bytes: Slice<UnsafeRawBufferPointer>, to file: FileDescriptor) throws(GitError) {
        do {
            _ = try file.writeAll(bytes)
        } catch {
            throw GitError(.storageFull, "what git printed could not be stored: \(error)")
        }
    }

    private func errorText(_ sequence: SubprocessOutputSequence, _ request: Request) async throws -> String {
        var lines = LineBuffer()
        for try await buffer in sequence {
            try Task.checkCancellation()
            buffer.withUnsafeBytes { lines.append($0, onLine: request.onErrorLine) }
        }
        lines.finish(onLine: request.onErrorLine)
        return lines.recent.joined(separator: "\n")
    }
}

/// Splits bytes into lines at `\r` and `\n` and keeps the last ones. Memory is bounded whatever is appended.
struct LineBuffer {
    private(set) var recent: [String] = []
    private var current: [UInt8] = []

    static let lineLimit = 4_096
    static let recentLimit = 64

    mutating func append(_ bytes: some Sequence<UInt8>, onLine: (String) -> Void) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                finish(onLine: onLine)
            } else if current.count < Self.lineLimit {
                current.append(byte)
            }
        }
    }

    /// Ends the current line, if there is one.
    mutating func finish(onLine: (String) -> Void) {
        guard !current.isEmpty else { return }
        let line = String(decoding: current, as: UTF8.self)
        current.removeAll(keepingCapacity: true)
        // Progress would push the reason of a failure out.
        if GitCloneProgress(line: line) == nil {
            recent.append(line)
            if recent.count > Self.recentLimit { recent.removeFirst() }
        }
        onLine(line)
    }
}

/// Standard input as a file without a name: unlike a pipe it cannot block, nor raise SIGPIPE in the server when git
/// ends before it has read everything.
struct InputFile {
    let descriptor: FileDescriptor

    /// Empty input is `/dev/null`. Call ``close()`` when done.
    init(_ bytes: [UInt8], path: String? = nil) throws(GitError) {
        do {
            descriptor =
                try bytes.isEmpty
                ? FileDescriptor.open(FilePath(path ?? "/dev/null"), .readOnly, options: .closeOnExec)
                : Self.unnamed(bytes)
        } catch {
            throw GitError(.failed, "the input of git could not be prepared: \(error)")
        }
    }

    func close() {
        try? descriptor.close()
    }

    private static func unnamed(_ bytes: [UInt8]) throws -> FileDescriptor {
        let directory = FilePath(FileManager.default.temporaryDirectory.path)
        let path = directory.appending(".git-input-\(UUID().uuidString)")
        let descriptor = try FileDescriptor.open(
            path,
            .readWrite,
            options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: .ownerReadWrite
        )
        do {
            try FileManager.default.removeItem(atPath: path.string)
            try descriptor.writeAll(bytes)
            try descriptor.seek(offset: 0, from: .start)
        } catch {
            try? descriptor.close()
            throw error
        }
        return descriptor
    }
}
