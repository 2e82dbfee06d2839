// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// The built server as a process of its own, to be killed.
package final class ServerProcess: Sendable {
    package let client: TestClient
    package let identifier: Int32
    private let process: Mutex<Process?>

    /// The executable beside the tests.
    package static var executable: String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/discobot-server"
    }

    /// Starts a server with its data in `directory` and waits until it answers.
    ///
    /// - Parameter command: a program that runs the executable, whose path is its last argument.
    package init(
        in directory: TemporaryDirectory,
        port: Int,
        environment: [String: String] = [:],
        command: [String] = []
    ) async throws {
        let process = Self.process(in: directory, port: port, environment: environment)
        if !command.isEmpty {
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = command + [Self.executable]
        }
        process.standardError = try FileHandle.appending(to: directory.file("server.log"))
        try process.run()
        identifier = process.processIdentifier
        self.process = Mutex(process)
        client = TestClient(port: port)
        try await waitUntilHealthy()
    }

    private static func process(
        in directory: TemporaryDirectory,
        port: Int,
        environment: [String: String]
    ) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: executable)
        process.currentDirectoryURL = URL(filePath: directory.path)
        process.environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "HOME": directory.path,
            "PORT": String(port), "DATABASE_DSN": directory.file("data/discobot.db"),
            "DOCKER_HOST": "unix://\(directory.path)/no-docker.sock", "JOB_RETRY_BACKOFF": "10ms",
        ].merging(environment) { $1 }
        return process
    }

    /// A new process has no way to say that it listens; asking is all a client can do.
    private func waitUntilHealthy() async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline, isRunning {
            if let answer = try? await client.get("/health"), answer.status == 200 { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        kill()
        throw Shell.Failed(description: "the server does not answer")
    }

    package var isRunning: Bool { process.withLock { $0?.isRunning == true } }

    /// Ends the process at once, as a crash would, and waits for it.
    package func kill() {
        Glibc.kill(identifier, SIGKILL)
        _ = waitForExit()
    }

    /// Asks the process to end; returns its exit code.
    package func terminate() -> Int32 {
        Glibc.kill(identifier, SIGTERM)
        return waitForExit()
    }

    private func waitForExit() -> Int32 {
        process.withLock { process in
            process?.waitUntilExit()
            return process?.terminationStatus ?? -1
        }
    }

    /// Runs the executable to its end; returns its exit code and what it printed.
    package static func run(
        _ arguments: [String],
        environment: [String: String],
        in directory: TemporaryDirectory
    ) throws -> (status: Int32, output: String) {
        let process = process(in: directory, port: 0, environment: environment)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    /// A port that is free now.
    package static func freePort() throws -> Int {
        let socket = try ListeningSocket()
        defer { socket.close() }
        return socket.port
    }
}

extension FileHandle {
    fileprivate static func appending(to path: String) throws -> FileHandle {
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.seekToEnd()
        return handle
    }
}
