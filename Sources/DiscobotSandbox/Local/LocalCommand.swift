// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import Glibc
import Subprocess
import SystemPackage

/// Runs small programs of the system.
enum LocalCommand {
    /// Has the places of `ip` and `slirp4netns`, which are not on every user's path.
    static var path: String { (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin" }

    /// Where a program is; nil when it is not installed.
    static func find(_ name: String, in path: String = path) -> String? {
        path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Writing to a program that does not read would end this process; in one that has opened a socket, the library of
    /// sockets has seen to that.
    private static let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

    struct Result: Sendable {
        /// Nil when a signal has ended it.
        let exitCode: Int?
        let text: String

        var isSuccess: Bool { exitCode == 0 }
    }

    static func succeeds(_ name: String, _ arguments: String...) async throws -> Bool {
        try await output(name, arguments) != nil
    }

    /// What it prints; nil when it fails or is not done within `limit`.
    static func output(
        _ name: String,
        _ arguments: [String],
        within limit: Duration = .seconds(600)
    ) async throws -> String? {
        guard let result = try await result(of: name, arguments, within: limit), result.isSuccess else { return nil }
        return result.text
    }

    /// What it prints, and how it ends; nil when it is not there or not done within `limit`.
    ///
    /// - Parameters:
    ///   - names: the server's own variables that it gets; usually none, as there are keys among them.
    ///   - path: where it is looked for.
    static func result(
        of name: String,
        _ arguments: [String],
        input: String = "",
        keeping names: [String] = [],
        in path: String = path,
        within limit: Duration = .seconds(600)
    ) async throws -> Result? {
        guard let program = find(name, in: path) else { return nil }
        Self.ignoreBrokenPipes
        var variables: [Environment.Key: String] = ["PATH": path, "LC_ALL": "C"]
        let own = ProcessInfo.processInfo.environment
        for name in names {
            if let value = own[name] { variables[Environment.Key(stringLiteral: name)] = value }
        }
        let environment = Environment.custom(variables)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                let result = try await run(
                    .path(FilePath(program)),
                    arguments: Arguments(arguments),
                    environment: environment,
                    // The library's own ways to pass text on end this process when the program does not read it.
                    input: .inputWriter,
                    output: .string(limit: 1 << 20),
                    error: .discarded
                ) { execution in
                    // Whoever does not read may do without.
                    _ = try? await execution.standardInputWriter.write(Array(input.utf8))
                    try await execution.standardInputWriter.finish()
                }
                var exitCode: Int?
                if case .exited(let code) = result.terminationStatus { exitCode = Int(code) }
                return Result(exitCode: exitCode, text: result.standardOutput)
            }
            group.addTask {
                try await Task.sleep(upTo: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
