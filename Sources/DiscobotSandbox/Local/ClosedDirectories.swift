// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// Opens directories that an agent has closed to their owner, so that they can be removed. No link is followed, and
/// nothing but directories is changed: a file may have another name elsewhere.
enum ClosedDirectories {
    /// How many directories are held open at once.
    private static let maximumDepth = 64

    /// Whether something has changed, so that removing may get further now.
    static func open(in path: String) -> Bool {
        guard let top = Descriptor(AT_FDCWD, path) else { return false }
        let isOpened = top.openUp()
        return open(in: top, top: top, depth: 1) || isOpened
    }

    private static func open(in parent: borrowing Descriptor, top: borrowing Descriptor, depth: Int) -> Bool {
        var isChanged = false
        for name in parent.names {
            guard let child = Descriptor(parent.number, name) else { continue }
            if child.openUp() { isChanged = true }
            if depth < maximumDepth {
                if open(in: child, top: top, depth: depth + 1) { isChanged = true }
            } else if renameat(parent.number, name, top.number, UUID().uuidString) == 0 {
                // What is in there has its turn next time, from above.
                isChanged = true
            }
        }
        return isChanged
    }

    /// `O_PATH`, which Swift does not know: opens without leave to read.
    private static let pathOnly: CInt = 0x20_0000

    /// A directory, whatever its mode.
    private struct Descriptor: ~Copyable {
        let number: CInt

        init?(_ parent: CInt, _ name: String) {
            number = openat(parent, name, pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if number < 0 { return nil }
        }

        deinit { close(number) }

        /// Leads to what is open, not to what has its name.
        private var path: String { "/proc/self/fd/\(number)" }

        var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path + "/.")) ?? [] }

        /// Whether it was closed and is not any more.
        func openUp() -> Bool {
            var status = stat()
            guard fstat(number, &status) == 0, status.st_mode & S_IRWXU != S_IRWXU else { return false }
            return chmod(path, status.st_mode & 0o777 | S_IRWXU) == 0
        }
    }
}
