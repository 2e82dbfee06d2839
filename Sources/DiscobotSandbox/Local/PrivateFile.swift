// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Files and directories that only the server's user can read. Failures are `SandboxError`s.
enum PrivateFile {
    static func makeDirectory(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw failure("make", path)
        }
    }

    /// Replaces the file in one step.
    ///
    /// - Parameter isDurable: whether it must outlive a power cut.
    static func write(_ text: String, to path: String, mode: mode_t = 0o600, isDurable: Bool = false) throws {
        // Several may write at once.
        let new = "\(path).\(UInt64.random(in: 0...UInt64.max))"
        let descriptor = Glibc.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure("write", path) }
        var isInPlace = false
        defer {
            close(descriptor)
            if !isInPlace { unlink(new) }
        }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw failure("write", path) }
            bytes = bytes.dropFirst(count)
        }
        guard !isDurable || fsync(descriptor) == 0, rename(new, path) == 0 else { throw failure("write", path) }
        isInPlace = true
        if isDurable { syncDirectory(of: path) }
    }

    /// As far as the file system can.
    private static func syncDirectory(of path: String) {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// Opens for reading, without waiting for a pipe's writer; nil when that cannot be opened. Only what this process
    /// lacks is an error: a file must not be taken for gone because of it.
    static func open(_ path: String, followsLinks: Bool = false) throws -> CInt? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
        guard descriptor < 0 else { return descriptor }
        guard errno != EMFILE, errno != ENFILE, errno != ENOMEM else { throw failure("open", path) }
        return nil
    }

    /// The last `limit` bytes; nil when it cannot be opened.
    ///
    /// - Parameter followsLinks: for files of the user's own, who may keep them elsewhere.
    static func read(_ path: String, limit: Int = 1 << 20, followsLinks: Bool = false) throws -> String? {
        guard let descriptor = try open(path, followsLinks: followsLinks) else { return nil }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        lseek(descriptor, max(0, size - limit), SEEK_SET)
        var bytes = [UInt8](repeating: 0, count: limit)
        var length = 0
        while length < limit {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: length), limit - length)
            }
            guard count > 0 else { break }
            length += count
        }
        return String(decoding: bytes.prefix(length), as: UTF8.self)
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    static func makePipe(_ path: String) throws {
        guard mkfifo(path, 0o600) == 0 || errno == EEXIST else { throw failure("make", path) }
    }

    /// Removes a directory with all that is in it, whatever modes an agent has given that.
    static func removeTree(_ path: String) async throws {
        guard exists(path) else { return }
        repeat {
            // This never follows links, and no depth is too much for it.
            if try await LocalCommand.succeeds("rm", "-rf", "--one-file-system", "--", path), !exists(path) { return }
        } while ClosedDirectories.open(in: path)
        throw SandboxError(.failed, "cannot remove all of \(path)")
    }

    private static func failure(_ verb: String, _ path: String) -> SandboxError {
        SandboxError(.failed, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
