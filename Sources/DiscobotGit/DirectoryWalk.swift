// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// Walks from a directory to a file below it, one component at a time on descriptors. The kernel never follows a
/// symbolic link here; links are read and their targets walked by the same rules. `..` goes back to a descriptor
/// already held, so a concurrent change can make a walk fail but cannot lead it out.
struct DirectoryWalk {
    /// A name in an open directory.
    struct Place {
        let directory: Descriptor
        let name: String
        /// What has the name; nil when there is nothing.
        let existing: stat?
    }

    private let path: GitPath
    private let createsDirectories: Bool
    private let followsLast: Bool
    private let root: Descriptor
    /// The directories below the root that lead to the current one.
    private var below: [Descriptor] = []
    /// What is left to walk, the next one last.
    private var pending: [String]
    private var linkCount = 0

    /// As many as Linux follows itself.
    private static let linkLimit = 40
    /// Each level holds a descriptor.
    private static let depthLimit = 256

    /// Where `path` leads to. Throws `.invalidArgument` when it leaves `root` or enters `.git`, `.notFound` when a
    /// directory is missing and not to be created.
    ///
    /// - Parameter followsLast: whether a symbolic link at the end stands for what it points to.
    static func place(
        of path: GitPath,
        below root: String,
        createsDirectories: Bool = false,
        followsLast: Bool = true
    ) throws(GitError) -> Place {
        try translating(path) {
            var walk = try DirectoryWalk(root, path, createsDirectories, followsLast)
            guard let place = try walk.run() else { throw Errno.isDirectory }
            return place
        }
    }

    /// The directory that `path` leads to, links followed. Throws `.notFound`, and `.invalidArgument` for anything else.
    static func directory(of path: GitPath, below root: String) throws(GitError) -> Descriptor {
        try translating(path) {
            var walk = try DirectoryWalk(root, path, false, true)
            guard let place = try walk.run() else { return walk.current }
            guard let status = place.existing else {
                throw GitError(.notFound, "Directory not found: \(path.string)")
            }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw GitError(.invalidArgument, "Not a directory: \(path.string)")
            }
            return try place.directory.open(place.name, O_RDONLY | O_DIRECTORY)
        }
    }

    private static func translating<Value>(
        _ path: GitPath,
        _ body: () throws -> Value
    ) throws(GitError) -> Value {
        do {
            return try body()
        } catch let error as Errno {
            throw GitError(path, error)
        } catch {
            throw error as? GitError ?? GitError(.failed, "\(path.string): \(error)")
        }
    }

    private init(_ root: String, _ path: GitPath, _ createsDirectories: Bool, _ followsLast: Bool) throws {
        self.root = try Descriptor(directory: root)
        self.path = path
        self.createsDirectories = createsDirectories
        self.followsLast = followsLast
        pending = path.components.reversed()
    }

    private var current: Descriptor { below.last ?? root }

    /// Nil when the path ends in a link to a directory on the way, which is the current one then.
    private mutating func run() throws -> Place? {
        while let component = pending.popLast() {
            guard !GitPath.isInternal(component) else { throw GitPath.insideGit(path.string) }
            guard component != ".." else {
                guard below.popLast() != nil else { throw GitPath.leaving(path.string) }
                continue
            }
            let status = try current.status(of: component)
            if let status, status.st_mode & S_IFMT == S_IFLNK, followsLast || !pending.isEmpty {
                try follow(component)
            } else if pending.isEmpty {
                return Place(directory: current, name: component, existing: status)
            } else {
                try enter(component, exists: status != nil)
            }
        }
        return nil
    }

    private mutating func follow(_ component: String) throws {
        linkCount += 1
        guard linkCount <= Self.linkLimit else {
            throw GitError(.invalidArgument, "too many symbolic links: \(path.string)")
        }
        guard let target = String(validating: try current.target(of: component), as: UTF8.self) else {
            throw GitError(.invalidArgument, "a symbolic link is not valid UTF-8: \(path.string)")
        }
        guard !target.isAbsolutePath else { throw GitPath.leaving(path.string) }
        pending += GitPath.components(of: target).reversed()
        guard pending.count <= Self.depthLimit else { throw Errno.fileNameTooLong }
    }

    private mutating func enter(_ component: String, exists: Bool) throws {
        guard below.count < Self.depthLimit else { throw Errno.fileNameTooLong }
        if !exists, createsDirectories { try current.makeDirectory(component) }
        below.append(try current.open(component, O_RDONLY | O_DIRECTORY))
    }
}
