// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A file system that soon is full, for a process of a test only; in namespaces, so that any user can mount it.
package enum SmallDisk {
    private static let namespaces = geteuid() == 0 ? ["--mount"] : ["--user", "--map-root-user", "--mount"]

    /// What runs a program, whose path is its last argument, where a directory is such a file system.
    ///
    /// - Parameter directory: as a shell reads it, relative to where the program runs; made when it is missing.
    package static func command(at directory: String, size: String) -> [String] {
        let script = """
            mkdir -p "\(directory)"
            mount -t tmpfs -o size=\(size) tmpfs "\(directory)"
            exec "$0"
            """
        return ["unshare"] + namespaces + ["sh", "-ec", script]
    }

    /// Takes all the room there is, by a file.
    package static func fill(_ file: String, of process: Int32) async throws {
        try await run(#"head -c 100000000 /dev/zero >"$0" 2>/dev/null || true"#, file, of: process)
    }

    /// Runs a script of `sh`, whose `$0` is a path, where such a process sees it; returns what it prints.
    @discardableResult
    package static func run(_ script: String, _ path: String, of process: Int32) async throws -> String {
        let options = geteuid() == 0 ? "--mount" : "--user --mount --preserve-credentials"
        let command = #"exec nsenter --target "$1" \#(options) sh -ec "$2" "$0""#
        return try await Shell.run(command, path, "\(process)", script)
    }
}
