// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Reads files in whose place programs of the sandbox may put anything: a FIFO must not hold the runtime up.
enum RegularFile {
    /// The first bytes; nil for what is no regular file.
    static func head(of path: String, limit: Int) -> Data? {
        read(path, limit) { _ in 0 }
    }

    /// The last bytes; nil for what is no regular file.
    static func tail(of path: String, limit: Int) -> Data? {
        read(path, limit) { max(0, $0 - limit) }
    }

    private static func read(_ path: String, _ limit: Int, from start: (Int) -> Int) -> Data? {
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        let offset = start(status.st_size)
        var bytes = [UInt8](repeating: 0, count: min(limit, status.st_size - offset))
        let count = pread(descriptor, &bytes, bytes.count, offset)
        return count < 0 ? nil : Data(bytes.prefix(count))
    }
}
