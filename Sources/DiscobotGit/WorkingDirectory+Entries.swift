// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// What a directory contains.
package struct DirectoryListing: Sendable, Codable, Equatable {
    package enum Kind: String, Sendable, Codable {
        case file, directory
    }

    package struct Entry: Sendable, Codable, Equatable {
        package let name: String
        package let type: Kind
        /// Bytes of a regular file.
        package let size: Int?
    }

    package let path: String
    /// Directories first, then by name.
    package let entries: [Entry]
    /// Whether there are more than ``limit``.
    package let truncated: Bool

    package static let limit = 10_000
}

extension WorkingDirectory {
    /// The entries of a directory, without `.git`; `.` is the root. Throws `.notFound`, or `.invalidArgument` for what is
    /// no directory and for a path that leaves.
    package func list(_ path: String, includingHidden: Bool) throws(GitError) -> DirectoryListing {
        let path = try GitPath(directory: path)
        let directory = try DirectoryWalk.directory(of: path, below: root)
        do throws(Errno) {
            let names = try directory.names(limit: DirectoryListing.limit + 1) { name in
                (includingHidden || name.first != 0x2E) && !GitPath.isInternal(Self.text(name[...]))
            }
            var entries: [DirectoryListing.Entry] = []
            for name in names.prefix(DirectoryListing.limit) {
                if let entry = try entry(name, in: directory, path) { entries.append(entry) }
            }
            entries.sort { ($0.type == .directory ? 0 : 1, $0.name) < ($1.type == .directory ? 0 : 1, $1.name) }
            return DirectoryListing(
                path: path.components.isEmpty ? "." : path.string,
                entries: entries,
                truncated: names.count > DirectoryListing.limit
            )
        } catch {
            throw GitError(path, error)
        }
    }

    /// What is not UTF-8 becomes U+FFFD.
    private static func text(_ name: ArraySlice<CChar>) -> String {
        String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Nil for what is gone already. A link counts as what it leads to, unless that is outside or its name is no text.
    private func entry(
        _ bytes: [CChar],
        in directory: Descriptor,
        _ path: GitPath
    ) throws(Errno) -> DirectoryListing.Entry? {
        guard var status = try directory.status(of: bytes) else { return nil }
        let name = Self.text(bytes.dropLast())
        if status.st_mode & S_IFMT == S_IFLNK {
            let path = (path.components + [name]).joined(separator: "/")
            if let target = try? DirectoryWalk.place(of: GitPath(path), below: root).existing { status = target }
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return DirectoryListing.Entry(name: name, type: .directory, size: nil)
        case S_IFREG: return DirectoryListing.Entry(name: name, type: .file, size: Int(status.st_size))
        default: return DirectoryListing.Entry(name: name, type: .file, size: nil)
        }
    }

    /// Removes a file, a symbolic link (not what it points to), or a directory with all that is in it; returns what it was.
    /// Throws `.notFound`, or `.invalidArgument` for a path that leaves.
    package func remove(_ path: String) throws(GitError) -> DirectoryListing.Kind {
        let path = try GitPath(path)
        let place = try DirectoryWalk.place(of: path, below: root, followsLast: false)
        guard let status = place.existing else { throw GitError(.notFound, "File not found: \(path.string)") }
        do throws(Errno) {
            try place.directory.removeTree(Array(place.name.utf8CString))
            return status.st_mode & S_IFMT == S_IFDIR ? .directory : .file
        } catch {
            throw GitError(path, error)
        }
    }

    /// Renames a file or directory; missing directories of the new path are made. Throws `.notFound`, `.conflict` when
    /// the new name is taken, or `.invalidArgument` for a path that leaves.
    package func rename(_ old: String, to new: String) throws(GitError) {
        let (old, new) = (try GitPath(old), try GitPath(new))
        let from = try DirectoryWalk.place(of: old, below: root, followsLast: false)
        guard from.existing != nil else { throw GitError(.notFound, "File not found: \(old.string)") }
        guard !new.components.starts(with: old.components) || old == new else {
            throw GitError(.invalidArgument, "a directory cannot be moved into itself: \(old.string)")
        }
        let to = try DirectoryWalk.place(of: new, below: root, createsDirectories: true, followsLast: false)
        do throws(Errno) {
            try from.directory.rename(from.name, to: to.name, in: to.directory)
        } catch {
            if error == .fileExists { throw GitError(.conflict, "there is already a file: \(new.string)") }
            throw GitError(old, error)
        }
    }
}
