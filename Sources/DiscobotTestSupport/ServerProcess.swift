// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage

/// The built server as a process of its own, to be killed.
package final class ServerProcess: Sendable {
    package let client: TestClient
    private let process: SpawnedProcess

    /// The executable beside the tests.
    package static var executable: String { SpawnedProcess.built("discobot-server") }

    /// Starts a server with its data in `directory` and waits until it answers, unless `isAwaited` is false.
    ///
    /// - Parameter command: a program that runs the executable, whose path is its last argument.
    package init(
        in directory: TemporaryDirectory,
        port: Int,
        environment: [String: String] = [:],
        command: [String] = [],
        isAwaited: Bool = true
    ) async throws {
        process = try SpawnedProcess(
            ["/usr/bin/env", "-C", directory.path] + command + [Self.executable],
            environment: Self.environment(in: directory, port: port).merging(environment) { $1 },
            log: directory.file("server.log")
        )
        let client = TestClient(port: port)
        self.client = client
        if isAwaited { try await process.waitUntilReady { try await client.get("/health").status == 200 } }
    }

    package var identifier: Int32 { process.identifier }
    package var isRunning: Bool { process.isRunning }

    /// Ends the process at once, as a crash would, and waits for it.
    package func kill() {
        process.kill()
    }

    /// Asks the process to end; returns its exit code, or that of a signal as a shell tells it.
    package func terminate() async -> Int32 {
        await process.terminate()
    }

    private static func environment(in directory: TemporaryDirectory, port: Int) -> [String: String] {
        [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": directory.path,
            "PORT": String(port), "DATABASE_DSN": directory.file("data/discobot.db"),
            "DOCKER_HOST": "unix://\(directory.path)/no-docker.sock", "JOB_RETRY_BACKOFF": "10ms",
        ]
    }

    /// Runs the executable to its end; returns its exit code and what it printed.
    package static func run(
        _ arguments: [String],
        environment: [String: String],
        in directory: TemporaryDirectory
    ) async throws -> (status: Int32, output: String) {
        let variables = Self.environment(in: directory, port: 0).merging(environment) { $1 }
        let script = #"cd "$0" && exec "$@" 2>&1"#
        let result = try await Subprocess.run(
            .path("/bin/sh"),
            arguments: Arguments(["-c", script, directory.path, executable] + arguments),
            environment: .custom(
                Dictionary(uniqueKeysWithValues: variables.map { (Environment.Key(stringLiteral: $0.key), $0.value) })
            ),
            output: .string(limit: 1 << 20),
            error: .discarded
        )
        guard case .exited(let code) = result.terminationStatus else { return (-1, result.standardOutput) }
        return (code, result.standardOutput)
    }

    /// A port that is free now.
    package static func freePort() throws -> Int {
        let socket = try ListeningSocket()
        defer { socket.close() }
        return socket.port
    }
}
