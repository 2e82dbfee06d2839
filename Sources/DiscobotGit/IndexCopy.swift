// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// Copies of git's index, on which git may work as it likes.
///
/// They keep its time, by which git knows which files it cannot tell from their times to be unchanged.
enum IndexCopy {
    /// False when there is no index, as in a repository without a commit. Throws `.storageFull` or `.failed`.
    static func make(of original: String, at copy: String) throws(GitError) -> Bool {
        do {
            let source = try FileDescriptor.open(FilePath(original), .readOnly, options: .closeOnExec)
            defer { try? source.close() }
            let target = try FileDescriptor.open(
                FilePath(copy),
                .writeOnly,
                options: [.create, .truncate, .closeOnExec],
                permissions: .ownerReadWrite
            )
            defer { try? target.close() }
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let count = try buffer.withUnsafeMutableBytes({ try source.read(into: $0) }), count > 0 {
                try target.writeAll(buffer.prefix(count))
            }
            try keepTime(of: source, in: target)
            return true
        } catch let error as Errno where error == .noSuchFileOrDirectory {
            return false
        } catch {
            let isFull = [.noSpace, .diskQuotaExceeded].contains(error as? Errno)
            throw GitError(isFull ? .storageFull : .failed, "git's index could not be copied: \(error)")
        }
    }

    private static func keepTime(of source: FileDescriptor, in target: FileDescriptor) throws {
        var status = stat()
        guard fstat(source.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        let times = [status.st_atim, status.st_mtim]
        guard futimens(target.rawValue, times) == 0 else { throw Errno(rawValue: errno) }
    }
}
