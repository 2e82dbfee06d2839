// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Logging

/// Leads directories of the home to the cache that the sandboxes of a project share.
///
/// By links, so that it is the same in each kind of sandbox, and needs no rights. What a session has of its own stays as
/// it is. Nothing here keeps a session from working: a cache only saves time.
struct CacheLinks: Sendable {
    private static let maximumFileBytes = 64 << 10

    private let directories: DataDirectories

    init(_ directories: DataDirectories) {
        self.directories = directories
    }

    /// Makes the links that are missing, or takes all away when there is no cache any more.
    func make(_ logger: Logger) {
        let paths = CachePaths(file: file, home: directories.home)
        for refusal in paths.refusals {
            logger.warning(
                "a path of .discobot/cache.json is not shared",
                metadata: ["path": "\(refusal.path)", "reason": "\(refusal.reason)"]
            )
        }
        guard access(directories.cache, W_OK | X_OK) == 0 else { return paths.paths.forEach(removeLink) }
        for path in paths.paths where !link(path) {
            logger.info("a directory of the home is not shared, it is in use", metadata: ["path": "\(path)"])
        }
    }

    /// Nil also for what is no file, or too large to be meant.
    private var file: Data? {
        // Too much is cut off, so that it is no JSON and said.
        RegularFile.head(of: directories.workspace + "/.discobot/cache.json", limit: Self.maximumFileBytes)
    }

    private func target(_ path: String) -> String { "\(directories.cache)/home/\(path)" }

    /// False when something else is there.
    private func link(_ path: String) -> Bool {
        let components = path.split(separator: "/").map(String.init)
        guard Self.makeDirectories(["home"] + components, in: directories.cache),
            Self.makeDirectories(components.dropLast(), in: directories.home)
        else { return false }
        let place = "\(directories.home)/\(path)"
        if isLink(place, to: target(path)) { return true }
        // Only an empty one goes.
        rmdir(place)
        return symlink(target(path), place) == 0
    }

    private func removeLink(_ path: String) {
        let place = "\(directories.home)/\(path)"
        if isLink(place, to: target(path)) { unlink(place) }
    }

    private func isLink(_ place: String, to target: String) -> Bool {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: place)) == target
    }

    /// Makes those that are missing. False where one is something else, a link too: other sandboxes write to the cache.
    private static func makeDirectories(_ components: [String], in directory: String) -> Bool {
        var path = directory
        for component in components {
            path += "/" + component
            var status = stat()
            guard mkdir(path, 0o700) == 0 || errno == EEXIST, lstat(path, &status) == 0,
                status.st_mode & S_IFMT == S_IFDIR
            else { return false }
        }
        return true
    }
}
