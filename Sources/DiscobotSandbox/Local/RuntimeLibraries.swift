// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The shared libraries that the runtime needs from places that sandboxes do not see anyway.
final class RuntimeLibraries: Sendable {
    private let known = Mutex<(binary: String, files: [String])?>(nil)

    /// Those that images with glibc lack. Throws only when cancelled.
    func foreign(to binary: String) async throws -> [String] {
        try await all(of: binary).filter { path in
            // What is not in the loader's usual places is found where it was linked.
            !Self.usualPlaces.contains { path.hasPrefix($0 + "/") && !path.dropFirst($0.count + 1).contains("/") }
        }
    }

    /// Those that the system's own directories lack. Throws only when cancelled.
    func files(of binary: String) async throws -> [String] {
        Self.foreign(try await all(of: binary))
    }

    private func all(of binary: String) async throws -> [String] {
        if let known = known.withLock({ $0 }), known.binary == binary { return known.files }
        // None of a static binary; and a machine that is too busy to tell is asked again.
        guard let output = try await LocalCommand.output("ldd", [binary], within: .seconds(60)) else { return [] }
        let files = Self.all(ldd: output)
        known.withLock { $0 = (binary, files) }
        return files
    }

    private static let usualPlaces = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].flatMap { place in
        [place, place + "/x86_64-linux-gnu", place + "/aarch64-linux-gnu"]
    }

    /// - Parameter output: lines as `libA.so => /path/libA.so (0x…)`.
    static func files(ldd output: String) -> [String] { foreign(all(ldd: output)) }

    private static func all(ldd output: String) -> [String] {
        let paths = output.split(separator: "\n").compactMap { line -> String? in
            guard let arrow = line.firstRange(of: "=> /") else { return nil }
            return "/" + line[arrow.upperBound...].prefix { $0 != " " }
        }
        return Set(paths).sorted()
    }

    private static func foreign(_ paths: [String]) -> [String] {
        let system = ["/usr", "/opt", "/lib", "/lib32", "/lib64", "/libx32"]
        return paths.filter { path in !system.contains { path.hasPrefix($0 + "/") } }
    }
}
