// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import SystemPackage

/// Reads and writes files below a directory and never outside it, also while somebody else swaps directories for
/// symbolic links: see ``DirectoryWalk``. Files of git itself are out of reach, too.
package struct WorkingDirectory: Sendable {
    package let root: String
    private let fileLimit: Int
    private let staging: String?

    /// - Parameters:
    ///   - fileLimit: the most bytes of a file that are read or written.
    ///   - staging: a directory where files are written before they come to their places, as far as it is on the same
    ///     volume; what a process that is killed meanwhile leaves is then nowhere in the way.
    package init(_ root: String, fileLimit: Int = 10 << 20, staging: String? = nil) {
        self.root = root
        self.fileLimit = fileLimit
        self.staging = staging
    }

    /// What the names of files begin with that are being written.
    package static let stagingPrefix = ".discobot-"

    /// The content of a regular file. Symbolic links that stay inside are followed.
    /// Throws `.notFound`, `.tooLarge`, or `.invalidArgument` for any other kind of file and for a path that leaves.
    package func read(_ path: String) throws(GitError) -> [UInt8] {
        let path = try GitPath(path)
        let place = try DirectoryWalk.place(of: path, below: root, createsDirectories: false)
        do throws(Errno) {
            // O_NONBLOCK: opening a fifo must not wait for a writer.
            let file = try place.directory.open(place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            try Self.checkRegular(try file.status())
            return try contents(of: file)
        } catch {
            throw GitError(path, error)
        }
    }

    /// Creates or replaces a regular file by a rename, so readers see the old or the new content. Directories are
    /// created (0755); a new file has mode 0644, an existing one keeps its mode. Throws as ``read(_:)`` does.
    package func write(_ contents: [UInt8], to path: String) throws(GitError) {
        let path = try GitPath(path)
        guard contents.count <= fileLimit else { throw GitError(path, .fileTooLarge) }
        let place = try DirectoryWalk.place(of: path, below: root, createsDirectories: true)
        do throws(Errno) {
            if let existing = place.existing { try Self.checkRegular(existing) }
            try replace(place, contents)
        } catch {
            throw GitError(path, error)
        }
    }

    private func contents(of file: Descriptor) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = try file.read(into: &buffer)
            guard count > 0 else { return bytes }
            // Counted, not taken from the status: the file may be growing.
            guard bytes.count + count <= fileLimit else { throw .fileTooLarge }
            bytes.append(contentsOf: buffer.prefix(count))
        }
    }

    private func replace(_ place: DirectoryWalk.Place, _ contents: [UInt8]) throws(Errno) {
        if let staging, let directory = try? Descriptor(directory: staging) {
            Self.removeAbandoned(in: directory)
            do {
                return try Self.replace(place, contents, by: directory)
            } catch {
                // Perhaps it is on another volume. Whatever else it is, the next try tells.
            }
        }
        try Self.replace(place, contents, by: place.directory)
    }

    private static func replace(
        _ place: DirectoryWalk.Place,
        _ contents: [UInt8],
        by staging: Descriptor
    ) throws(Errno) {
        let temporary = "\(stagingPrefix)\(UUID().uuidString).tmp"
        let file = try staging.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        do throws(Errno) {
            try file.write(contents)
            try keepOwner(of: file, place)
            try file.setMode((place.existing?.st_mode ?? 0o644) & 0o777)
            try file.synchronize()
            // A symbolic link that has appeared under the name meanwhile is replaced, not followed.
            try staging.move(temporary, over: place.name, in: place.directory)
        } catch {
            staging.remove(temporary)
            throw error
        }
    }

    /// A file of the user should not become one of root, nor leave the group that shares it.
    private static func keepOwner(of file: Descriptor, _ place: DirectoryWalk.Place) throws(Errno) {
        let own = try file.status()
        let directory = try place.directory.status()
        let group = directory.st_mode & S_ISGID != 0 ? directory.st_gid : own.st_gid
        let (user, wanted) = (place.existing?.st_uid ?? own.st_uid, place.existing?.st_gid ?? group)
        if (user, wanted) != (own.st_uid, own.st_gid) { file.setOwner(user: user, group: wanted) }
    }

    /// Removes what a process that was killed while it wrote has left there; none writes for an hour.
    private static func removeAbandoned(in staging: Descriptor) {
        let prefix = stagingPrefix.utf8.map { CChar(bitPattern: $0) }
        for name in (try? staging.names { $0.starts(with: prefix) }) ?? [] {
            guard let status = try? staging.status(of: name), status.st_mtim.tv_sec < time(nil) - 3600 else { continue }
            try? staging.removeTree(name)
        }
    }

    private static func checkRegular(_ status: stat) throws(Errno) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: return
        case S_IFDIR: throw .isDirectory
        default: throw .noSuchAddressOrDevice
        }
    }
}

extension GitError {
    /// The failure of a system call for `path`.
    init(_ path: GitPath, _ cause: Errno) {
        let name = path.string
        switch cause {
        case .noSuchFileOrDirectory, .notDirectory: self.init(.notFound, "File not found: \(name)")
        case .isDirectory: self.init(.invalidArgument, "is a directory: \(name)")
        case .noSuchAddressOrDevice: self.init(.invalidArgument, "not a regular file: \(name)")
        case .fileNameTooLong: self.init(.invalidArgument, "the path is too long")
        case .fileTooLarge: self.init(.tooLarge, "file is too large: \(name)")
        // O_NOFOLLOW met a link that was not there a moment ago.
        case .permissionDenied, .notPermitted: self.init(.forbidden, "Permission denied: \(name)")
        case .noSpace, .diskQuotaExceeded: self.init(.storageFull, "there is no room left: \(name)")
        case .tooManySymbolicLinkLevels: self.init(.conflict, "the file was changed meanwhile: \(name)")
        default: self.init(.failed, "\(name): \(cause)")
        }
    }
}
