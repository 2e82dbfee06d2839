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
        /// What has the name, not a symbolic link; nil when there is nothing.
        let existing: stat?
    }

    private let path: GitPath
    private let createsDirectories: Bool
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
    static func place(
        of path: GitPath,
        below root: String,
        createsDirectories: Bool
    ) throws(GitError) -> Place {
        do {
            var walk = try DirectoryWalk(root: root, path: path, createsDirectories: createsDirectories)
            return try walk.run()
        } catch let error as Errno {
            throw GitError(path, error)
        } catch {
            throw error as? GitError ?? GitError(.failed, "\(path.string): \(error)")
        }
    }

    private init(root: String, path: GitPath, createsDirectories: Bool) throws {
        self.root = try Descriptor(directory: root)
        self.path = path
        self.createsDirectories = createsDirectories
        pending = path.components.reversed()
    }

    private var current: Descriptor { below.last ?? root }

    private mutating func run() throws -> Place {
        while let component = pending.popLast() {
            guard !GitPath.isInternal(component) else { throw GitPath.insideGit(path.string) }
            guard component != ".." else {
                guard below.popLast() != nil else { throw GitPath.leaving(path.string) }
                continue
            }
            let status = try current.status(of: component)
            if let status, status.st_mode & S_IFMT == S_IFLNK {
                try follow(component)
            } else if pending.isEmpty {
                return Place(directory: current, name: component, existing: status)
            } else {
                try enter(component, exists: status != nil)
            }
        }
        // The path ended in a link to a directory on the way.
        throw Errno.isDirectory
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
