// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The shared libraries that the runtime needs from places that sandboxes do not see anyway.
final class RuntimeLibraries: Sendable {
    private let known = Mutex<(binary: String, directories: [String])?>(nil)

    /// The directories they are in. Throws only when cancelled.
    func directories(of binary: String) async throws -> [String] {
        if let known = known.withLock({ $0 }), known.binary == binary { return known.directories }
        let output = try await LocalCommand.output("ldd", [binary], within: .seconds(10)) ?? ""
        let directories = Self.directories(ldd: output)
        known.withLock { $0 = (binary, directories) }
        return directories
    }

    /// - Parameter output: lines as `libA.so => /path/libA.so (0x…)`.
    static func directories(ldd output: String) -> [String] {
        let paths = output.split(separator: "\n").compactMap { line -> String? in
            guard let arrow = line.firstRange(of: "=> /") else { return nil }
            let path = line[line.index(before: arrow.upperBound)...].prefix { $0 != " " }
            return path.lastIndex(of: "/").map { String(path[..<$0]) }
        }
        let system = ["/usr", "/opt", "/lib", "/lib32", "/lib64", "/libx32"]
        return Set(paths).filter { path in
            !system.contains { path == $0 || path.hasPrefix($0 + "/") } && !path.isEmpty
        }.sorted()
    }
}
