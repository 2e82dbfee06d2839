// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// The built server as a process of its own, to be killed.
///
/// Started by `posix_spawn`: Foundation's `Process` crashes now and then when many threads start programs at once.
package final class ServerProcess: Sendable {
    package let client: TestClient
    package let identifier: Int32
    /// Nil while it runs.
    private let exitStatus = Mutex<Int32?>(nil)

    /// The executable beside the tests.
    package static var executable: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/discobot-server"
    }

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
        identifier = try Self.spawn(
            ["/usr/bin/env", "-C", directory.path] + command + [Self.executable],
            environment: Self.environment(in: directory, port: port).merging(environment) { $1 },
            log: directory.file("server.log")
        )
        client = TestClient(port: port)
        if isAwaited { try await waitUntilHealthy() }
    }

    private static func environment(in directory: TemporaryDirectory, port: Int) -> [String: String] {
        [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": directory.path,
            "PORT": String(port), "DATABASE_DSN": directory.file("data/discobot.db"),
            "DOCKER_HOST": "unix://\(directory.path)/no-docker.sock", "JOB_RETRY_BACKOFF": "10ms",
        ]
    }

    private static func spawn(_ arguments: [String], environment: [String: String], log: String) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var identifier: pid_t = 0
        guard posix_spawn(&identifier, arguments[0], &actions, nil, &argv, &envp) == 0 else {
            throw Shell.Failed(description: "the server cannot be started")
        }
        return identifier
    }

    /// A new process has no way to say that it listens; asking is all a client can do.
    private func waitUntilHealthy() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline, isRunning {
            if let answer = try? await client.get("/health"), answer.status == 200 { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        kill()
        throw Shell.Failed(description: "the server does not answer")
    }

    package var isRunning: Bool { reap(WNOHANG) == nil }

    /// Ends the process at once, as a crash would, and waits for it.
    package func kill() {
        signal(SIGKILL)
    }

    /// Asks the process to end; returns its exit code, or that of a signal as a shell tells it.
    package func terminate() -> Int32 {
        signal(SIGTERM)
    }

    @discardableResult
    private func signal(_ number: Int32) -> Int32 {
        if isRunning { Glibc.kill(identifier, number) }
        return reap(0) ?? -1
    }

    /// The exit code; nil while the process runs and the options say not to wait.
    private func reap(_ options: Int32) -> Int32? {
        exitStatus.withLock { exitStatus in
            if let exitStatus { return exitStatus }
            var status: Int32 = 0
            guard waitpid(identifier, &status, options) == identifier else { return nil }
            exitStatus = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
            return exitStatus
        }
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
