// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Logging
import Synchronization
import Testing

/// A provider with sandboxes of a test's own, on a real engine.
struct DockerFixture: Sendable {
    let engine: DockerEngine
    let provider: DockerSandboxProvider
    let directory: TemporaryDirectory

    /// Runs `body`; afterwards nothing of this provider's is on the engine any more.
    static func with(
        script: String = ProviderKind.service,
        engine: DockerEngine? = nil,
        logger: Logger = Logger(label: "test"),
        configure: (inout DockerSandboxProvider.Configuration) -> Void = { _ in },
        _ body: (DockerFixture) async throws -> Void
    ) async throws {
        let engine = if let engine { engine } else { try await DockerEngine.shared() }
        try await TemporaryDirectory.with { directory in
            let provider = try await ProviderKind.docker(
                directory,
                script: script,
                engine: engine,
                logger: logger,
                configure: configure
            )
            let following = Task { await provider.run() }
            defer { following.cancel() }
            let fixture = DockerFixture(engine: engine, provider: provider, directory: directory)
            let result: Result<Void, any Error>
            do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
            for sandbox in try await provider.sandboxes() {
                try await provider.remove(sandbox.sessionID, keepingData: false)
            }
            for project in ["local", "other"] { try await provider.removeCache(of: ID(rawValue: project)) }
            #expect(try await fixture.leftovers().isEmpty)
            try await fixture.removePrepared()
            try result.get()
        }
    }

    /// Makes and starts a sandbox.
    func run(
        _ id: ID<Session> = .random(),
        project: ID<Project> = "local",
        network: SandboxSpecification.Network = .none,
        limits: SandboxSpecification.Limits = .init()
    ) async throws -> ID<Session> {
        try await create(id, project: project, network: network, limits: limits)
        try await provider.start(id)
        return id
    }

    func create(
        _ id: ID<Session>,
        project: ID<Project> = "local",
        network: SandboxSpecification.Network = .none,
        limits: SandboxSpecification.Limits = .init()
    ) async throws {
        try await provider.create(
            SandboxSpecification(
                sessionID: id,
                projectID: project,
                workspaceID: "workspace",
                workspacePath: try ProviderKind.docker.specification(id, directory).workspacePath,
                workspaceSource: directory.path,
                workspaceCommit: nil,
                secretVerifier: "salt:hash",
                network: network,
                limits: limits
            )
        )
    }

    /// What a script prints in a sandbox, without the last end of line.
    func output(of script: String, in id: ID<Session>) async throws -> String {
        let name = Self.container(id)
        return try await engine.docker("exec", name, "sh", "-c", "{ \(script)\n} 2>&1 || true")
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A part of what the engine tells of a sandbox, in Go's template language.
    func inspect(_ id: ID<Session>, _ template: String) async throws -> String {
        try await engine.docker("inspect", "--format", template, Self.container(id))
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    static func container(_ id: ID<Session>) -> String { "discobot-session-\(id)" }

    /// What the labels of this provider's things say.
    var server: String {
        get async throws {
            try String(contentsOfFile: directory.file("sandboxes/server"), encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    /// The ids of what the engine has of this provider's: `ps`, `volume` or `network`.
    func listed(_ kind: String) async throws -> [String] {
        let label = "label=discobot.server=\(try await server)"
        let listing =
            kind == "ps"
            ? try await engine.docker("ps", "-aq", "--filter", label)
            : try await engine.docker(kind, "ls", "-q", "--filter", label)
        return listing.split(separator: "\n").map { String($0) }
    }

    /// The names of the images that this provider's sandboxes are made of.
    var preparedImages: [String] {
        get async throws {
            guard directory.exists("sandboxes/server") else { return [] }
            let filter = "label=discobot.server=\(try await server)"
            let listing = try await engine.docker(
                "images",
                "--format",
                "{{.Repository}}:{{.Tag}}",
                "--filter",
                filter
            )
            return listing.split(separator: "\n").map { String($0) }
        }
    }

    func removePrepared() async throws {
        for name in try await preparedImages { try await engine.docker("rmi", "-f", name) }
    }

    /// What the engine has of this provider's, whatever its labels say, and what is left of the sandboxes' files.
    func leftovers() async throws -> [String] {
        guard directory.exists("sandboxes/server") else { return [] }
        let found = try await listed("ps") + listed("volume") + listed("network")
        let names = try await engine.docker(
            "ps",
            "-a",
            "--format",
            "{{.Names}}",
            "--filter",
            "name=\(try await server)"
        )
        let files = try ["sessions", "run", "trash"].flatMap { try directory.contents("sandboxes/\($0)") }
        return found + names.split(separator: "\n").map { String($0) } + files
    }
}

/// Scripts about git's own server, which is in every image and needs nothing.
enum GitPort {
    /// Serves on all addresses. It goes to the background before it listens, so others wait until it does.
    static let serve = "git daemon --reuseaddr --base-path=/tmp --detach --pid-file=/tmp/pid"

    private static func connect(_ address: String, seconds: Int) -> String {
        "timeout \(seconds) bash -c 'echo >/dev/tcp/\(address)/9418' 2>/dev/null"
    }

    /// Prints `open` or `closed`. Where nothing answers it waits for three seconds.
    static func state(at address: String) -> String {
        connect(address, seconds: 3) + " && echo open || echo closed"
    }

    /// The suite's time limit ends it.
    static func waitUntilOpen(at address: String) -> String {
        "until \(connect(address, seconds: 20)); do sleep 0.05; done"
    }
}

/// Keeps what is worth a warning.
struct LogRecorder: LogHandler {
    final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private let lines = Lines()
    var texts: [String] { lines.all.withLock { $0 } }
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.all.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") } }
}
