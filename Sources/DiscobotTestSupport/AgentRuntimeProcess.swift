// SPDX-License-Identifier: Apache-2.0

package import DiscobotAgentAPI
import DiscobotModel
package import DiscobotSandbox
import Foundation

/// The built runtime as a process of its own, on a unix socket, to be killed.
package final class AgentRuntimeProcess: Sendable {
    package let client: AgentClient
    package let socket: String
    private let process: SpawnedProcess

    /// The executable beside the tests.
    package static var executable: String { SpawnedProcess.built("discobot-agent") }

    /// The secret that each of them knows.
    package static let secret = AgentSecret(value: String(repeating: "5e", count: 32))

    /// Starts a runtime with its data in `directory`, for the repository `directory/source`, and waits until it answers
    /// and has a working copy or says why it has none, unless `isAwaited` is false.
    ///
    /// - Parameter command: a program that runs the executable, whose path is its last argument, in its own place.
    package init(
        in directory: TemporaryDirectory,
        environment: [String: String] = [:],
        command: [String] = [],
        isAwaited: Bool = true
    ) async throws {
        socket = directory.file("agent.sock")
        client = AgentClient(endpoint: .unixSocket(path: socket), secret: Self.secret)
        let own = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
            AgentVariable.socket.rawValue: socket, AgentVariable.dataDirectory.rawValue: directory.file("data"),
            AgentVariable.workspacePath.rawValue: directory.file("source"),
            AgentVariable.workspaceSource.rawValue: "https://example.com/source.git",
            AgentVariable.sessionID.rawValue: "s1", AgentVariable.secret.rawValue: Self.secret.verifier(),
        ]
        process = try SpawnedProcess(
            ["/usr/bin/env"] + command + [Self.executable],
            environment: own.merging(environment) { $1 },
            log: directory.file("agent.log")
        )
        guard isAwaited else { return }
        let client = client
        try await process.waitUntilReady {
            let health = try await client.health()
            return health.connected || health.error != nil
        }
    }

    package var identifier: Int32 { process.identifier }
    package var isRunning: Bool { process.isRunning }

    /// Ends the process at once, as a crash would, and waits for it.
    package func kill() {
        process.kill()
    }

    /// Asks the process to end; returns its exit code, or that of a signal as a shell tells it.
    @discardableResult
    package func terminate() async -> Int32 {
        await process.terminate()
    }

    /// Holds the process up, as a machine without memory would, until it is continued or killed.
    package func freeze() {
        Glibc.kill(identifier, SIGSTOP)
    }

    package func thaw() {
        Glibc.kill(identifier, SIGCONT)
    }

    /// Runs `body` with a runtime for a repository with one commit, and ends it.
    package static func with<Value>(
        environment: [String: String] = [:],
        command: [String] = [],
        _ body: (AgentRuntimeProcess, TemporaryDirectory) async throws -> Value
    ) async throws -> Value {
        try await TemporaryDirectory.with { directory in
            try await Self.makeSource(in: directory)
            let runtime = try await AgentRuntimeProcess(in: directory, environment: environment, command: command)
            defer { runtime.kill() }
            return try await body(runtime, directory)
        }
    }

    /// Makes the repository `directory/source`, with one commit on the branch `main`.
    package static func makeSource(in directory: TemporaryDirectory) async throws {
        try await Shell.run(
            """
            git init -q -b main "$0/source" && cd "$0/source" && echo one > file && git add file
            git -c user.name=a -c user.email=a@example.com commit -q -m one
            """,
            directory.path
        )
    }
}

extension AgentRuntimeProcess {
    /// Starts a turn of the shell driver.
    @discardableResult
    package func start(
        _ script: String,
        completion: String,
        credentials: [CredentialVariable] = []
    ) async throws -> CompletionResponse {
        let message = UIMessage(id: "m-\(completion)", role: .user, parts: [.text(script)])
        return try await client.start(
            StartRequest(messages: [message], completionId: completion, agent: AgentSettings(type: "shell")),
            credentials: credentials
        )
    }

    /// The chunks of a completion to its end, as lines of JSON.
    package func lines(of completion: String, after sequence: Int = 0) async throws -> [String] {
        var lines: [String] = []
        try await client.follow(completion, after: sequence) { batch in
            lines += batch.lines.split(separator: "\n").map(String.init)
        }
        return lines
    }

    /// The chunks of a completion to its end.
    package func chunks(of completion: String) async throws -> [Chunk] {
        try await lines(of: completion).map { try JSONDecoder().decode(Chunk.self, from: Data($0.utf8)) }
    }

    /// Returns when the completion has as many chunks as `count`.
    package func wait(for count: Int, of completion: String) async throws {
        do {
            try await client.follow(completion, after: 0) { batch in
                if batch.last >= count { throw CancellationError() }
            }
        } catch is CancellationError {
            return
        }
        throw Shell.Failed(description: "the completion has ended before")
    }
}
