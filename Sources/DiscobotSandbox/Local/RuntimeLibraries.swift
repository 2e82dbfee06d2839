// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The shared libraries that the runtime needs from places that sandboxes do not see anyway.
final class RuntimeLibraries: Sendable {
    private let known = Mutex<(binary: String, files: [String])?>(nil)

    /// Throws only when cancelled.
    func files(of binary: String) async throws -> [String] {
        if let known = known.withLock({ $0 }), known.binary == binary { return known.files }
        let output = try await LocalCommand.output("ldd", [binary], within: .seconds(10)) ?? ""
        let files = Self.files(ldd: output)
        known.withLock { $0 = (binary, files) }
        return files
    }

    /// - Parameter output: lines as `libA.so => /path/libA.so (0x…)`.
    static func files(ldd output: String) -> [String] {
        let paths = output.split(separator: "\n").compactMap { line -> String? in
            guard let arrow = line.firstRange(of: "=> /") else { return nil }
            return "/" + line[arrow.upperBound...].prefix { $0 != " " }
        }
        let system = ["/usr", "/opt", "/lib", "/lib32", "/lib64", "/libx32"]
        return Set(paths).filter { path in
            !system.contains { path.hasPrefix($0 + "/") }
        }.sorted()
    }
}
