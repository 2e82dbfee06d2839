// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

extension WorkingDirectory {
    /// A file that could be run.
    package struct Program: Sendable, Equatable {
        /// Its first bytes.
        package let head: [UInt8]
        /// Whether these are all.
        package let isWhole: Bool
        package let isExecutable: Bool

        package init(head: [UInt8], isWhole: Bool, isExecutable: Bool) {
            self.head = head
            self.isWhole = isWhole
            self.isExecutable = isExecutable
        }
    }

    /// The beginning of a regular file, at most `limit` bytes. Throws as ``read(_:)`` does, but not for large files.
    package func program(_ path: String, limit: Int) throws(GitError) -> Program {
        let path = try GitPath(path)
        let place = try DirectoryWalk.place(of: path, below: root)
        do throws(Errno) {
            // O_NONBLOCK: opening a fifo must not wait for a writer.
            let file = try place.directory.open(place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            let status = try file.status()
            guard status.st_mode & S_IFMT == S_IFREG else { throw .noSuchAddressOrDevice }
            var head: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: limit + 1)
            while head.count <= limit {
                let count = try file.read(into: &buffer)
                if count == 0 { break }
                head += buffer.prefix(count)
            }
            return Program(
                head: Array(head.prefix(limit)),
                isWhole: head.count <= limit,
                isExecutable: status.st_mode & 0o111 != 0
            )
        } catch {
            throw GitError(path, error)
        }
    }
}
