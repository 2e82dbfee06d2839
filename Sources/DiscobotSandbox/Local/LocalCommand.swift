// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Subprocess
import SystemPackage

/// Runs small programs of the system.
enum LocalCommand {
    /// Has the places of `ip` and `slirp4netns`, which are not on every user's path.
    static var path: String { (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin" }

    /// Where a program is; nil when it is not installed.
    static func find(_ name: String) -> String? {
        path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    static func succeeds(_ name: String, _ arguments: String...) async throws -> Bool {
        try await output(name, arguments) != nil
    }

    /// What it prints; nil when it fails or is not done within `limit`.
    ///
    /// - Parameter home: for programs that have files of the user's to read.
    static func output(
        _ name: String,
        _ arguments: [String],
        input: String = "",
        home: String? = nil,
        within limit: Duration = .seconds(600)
    ) async throws -> String? {
        guard let program = find(name) else { return nil }
        // Not the server's own, which has keys.
        var variables: [Environment.Key: String] = ["PATH": path, "LC_ALL": "C"]
        if let home { variables["HOME"] = home }
        let environment = Environment.custom(variables)
        return try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask {
                let result = try await run(
                    .path(FilePath(program)),
                    arguments: Arguments(arguments),
                    environment: environment,
                    input: .string(input),
                    output: .string(limit: 1 << 20),
                    error: .discarded
                )
                return result.terminationStatus.isSuccess ? result.standardOutput : nil
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
