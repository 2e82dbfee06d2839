// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotSandbox
import DiscobotServices
package import DiscobotStore
import Logging
import ServiceLifecycle
package import discobot_server

/// The whole server in this process, on a free port and with a database file of its own.
package struct TestServer: Sendable {
    package let client: TestClient
    package let store: Store
    package let directory: TemporaryDirectory

    /// Runs `body` beside a server and shuts that down as a signal would.
    package static func with<Value: Sendable>(
        _ configure: (inout ServerOptions) -> Void = { _ in },
        in directory: TemporaryDirectory? = nil,
        _ body: @escaping @Sendable (TestServer) async throws -> Value
    ) async throws -> Value {
        guard let directory else {
            return try await TemporaryDirectory.with { try await with(configure, in: $0, body) }
        }
        var options = ServerOptions(
            databasePath: directory.file("data/discobot.db"),
            workspaceDirectory: directory.file("data/workspaces")
        )
        options.port = 0
        options.docker.address = .unix(path: directory.file("no-docker.sock"))
        options.local.agentBinary = AgentRuntimeProcess.executable
        options.docker.agentBinary = AgentRuntimeProcess.executable
        options.dispatcher.retryBackoff = .milliseconds(10)
        configure(&options)
        return try await run(options, directory, body)
    }

    private static func run<Value: Sendable>(
        _ options: ServerOptions,
        _ directory: TemporaryDirectory,
        _ body: @escaping @Sendable (TestServer) async throws -> Value
    ) async throws -> Value {
        var logger = Logger(label: "test", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .critical
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let server = try await Server.build(options, logger: logger) { continuation.yield($0) }
        let group = ServiceGroup(configuration: .init(named: server.services, logger: logger))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { continuation.finish() }
                try await group.run()
            }
            for await port in ports {
                let result: Result<Value, any Error>
                do {
                    let test = TestServer(client: TestClient(port: port), store: server.store, directory: directory)
                    result = .success(try await body(test))
                } catch {
                    result = .failure(error)
                }
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                await server.store.close()
                return try result.get()
            }
            try await tasks.waitForAll()
            throw Shell.Failed(description: "the server ended before it listened")
        }
    }
}
