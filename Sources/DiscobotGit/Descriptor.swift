// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import SystemPackage

/// A file or directory that is open, and closed with the last reference. The number stays inside: outside, it could
/// be used after the close.
final class Descriptor: Sendable {
    private let raw: CInt

    private init(_ raw: CInt) throws(Errno) {
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        self.raw = raw
    }

    deinit {
        close(raw)
    }

    /// Opens a directory by its path; symbolic links in it are followed.
    convenience init(directory path: String) throws(Errno) {
        try self.init(Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }

    /// Opens `name` in this directory, but not through a symbolic link.
    func open(_ name: String, _ flags: CInt, mode: mode_t = 0) throws(Errno) -> Descriptor {
        try Descriptor(openat(raw, name, flags | O_NOFOLLOW | O_CLOEXEC, mode))
    }

    /// Of the descriptor itself.
    func status() throws(Errno) -> stat {
        var status = stat()
        try check(fstat(raw, &status))
        return status
    }

    /// Of `name` in this directory, not of what a symbolic link points to; nil when there is nothing.
    func status(of name: String) throws(Errno) -> stat? {
        try status(of: Array(name.utf8CString))
    }

    /// The same for a name that need not be text.
    func status(of name: [CChar]) throws(Errno) -> stat? {
        var status = stat()
        if fstatat(raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return status }
        guard errno == ENOENT else { throw Errno(rawValue: errno) }
        return nil
    }

    /// The bytes a symbolic link contains.
    func target(of name: String) throws(Errno) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(raw, name, &buffer, buffer.count)
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return buffer.prefix(count).map { UInt8(bitPattern: $0) }
    }

    /// Creates a directory unless there is something.
    func makeDirectory(_ name: String) throws(Errno) {
        guard mkdirat(raw, name, 0o755) != 0, errno != EEXIST else { return }
        throw Errno(rawValue: errno)
    }

    /// Renames into a directory and replaces a file of the new name.
    func move(_ name: String, over newName: String, in directory: Descriptor) throws(Errno) {
        try check(renameat(raw, name, directory.raw, newName))
    }

    /// Renames into another directory; throws `.fileExists` when the new name is taken.
    func rename(_ name: String, to newName: String, in directory: Descriptor) throws(Errno) {
        try check(clinux_rename_noreplace(raw, name, directory.raw, newName))
    }

    /// The names in this directory that are wanted, as many as `limit`.
    func names(limit: Int = .max, where isWanted: ([CChar]) -> Bool = { _ in true }) throws(Errno) -> [[CChar]] {
        // One of its own, so that others who read the directory do not meet the position of this one.
        let own = openat(raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0, let stream = fdopendir(own) else { throw Errno(rawValue: errno) }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while names.count < limit, let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } }
            if name != [0x2E], name != [0x2E, 0x2E], isWanted(name) { names.append(name + [0]) }
        }
        return names
    }

    /// Removes `name`, and all that is in it. Throws `.fileNameTooLong` for what is deeper than any path can be.
    func removeTree(_ name: [CChar], depth: Int = 0) throws(Errno) {
        if unlinkat(raw, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw Errno(rawValue: errno) }
        guard depth < 1_024 else { throw .fileNameTooLong }
        let directory = try Descriptor(openat(raw, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        for entry in try directory.names() { try directory.removeTree(entry, depth: depth + 1) }
        guard unlinkat(raw, name, AT_REMOVEDIR) != 0, errno != ENOENT else { return }
        throw Errno(rawValue: errno)
    }

    func remove(_ name: String) {
        unlinkat(raw, name, 0)
    }

    /// 0 at the end.
    func read(into buffer: inout [UInt8]) throws(Errno) -> Int {
        while true {
            let count = Glibc.read(raw, &buffer, buffer.count)
            if count >= 0 { return count }
            guard errno == EINTR else { throw Errno(rawValue: errno) }
        }
    }

    func write(_ bytes: [UInt8]) throws(Errno) {
        do {
            try FileDescriptor(rawValue: raw).writeAll(bytes)
        } catch {
            throw error as? Errno ?? .ioError
        }
    }

    /// Best effort: only root may give files away, and others only to groups that they are in.
    func setOwner(user: uid_t, group: gid_t) {
        let unchanged = uid_t.max
        if fchown(raw, user, group) != 0 { _ = fchown(raw, unchanged, group) }
    }

    func setMode(_ mode: mode_t) throws(Errno) {
        try check(fchmod(raw, mode))
    }

    func synchronize() throws(Errno) {
        try check(fsync(raw))
    }

    private func check(_ result: CInt) throws(Errno) {
        guard result == 0 else { throw Errno(rawValue: errno) }
    }
}
