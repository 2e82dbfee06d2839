// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Logging
import Testing

/// The providers that the conformance suite runs on.
enum ProviderKind: String, CaseIterable, CustomTestStringConvertible {
    case isolated, isolatedWithInternet, plain, docker, podman, mock

    var testDescription: String { rawValue }
    var isLocal: Bool { self != .mock }

    static let local: [ProviderKind] = [.isolated, .isolatedWithInternet, .plain]

    /// Runs until it is told to end, and says so in its data.
    static let service = """
        mkdir -p "$DISCOBOT_DATA_DIR" "$HOME"; cd "$DISCOBOT_DATA_DIR"
        trap 'echo ended >>"$DISCOBOT_DATA_DIR/life"; exit 0' TERM
        echo began >>"$DISCOBOT_DATA_DIR/life"
        while :; do sleep 1000 & wait $!; done
        """

    /// - Parameter script: what runs in place of the runtime.
    func make(_ directory: TemporaryDirectory, script: String = service) async throws -> any SandboxProvider {
        switch self {
        case .mock: MockSandboxProvider()
        case .docker: try await Self.docker(directory, script: script)
        case .podman: try await Self.docker(directory, script: script, engine: DockerEngine.shared(.podman))
        default: local(directory, script: script)
        }
    }

    static func docker(
        _ directory: TemporaryDirectory,
        script: String = service,
        engine: DockerEngine? = nil,
        logger: Logger = Logger(label: "test"),
        configure: (inout DockerSandboxProvider.Configuration) -> Void = { _ in }
    ) async throws -> DockerSandboxProvider {
        let host = if let engine { engine.host } else { try await DockerEngine.shared().host }
        var configuration = DockerSandboxProvider.Configuration(
            root: directory.file("sandboxes"),
            agentBinary: "/usr/bin/true"
        )
        configuration.address = DockerAddress(host: host)
        configuration.image = DockerEngine.image
        configuration.command = ["/bin/sh", "-c", script]
        configure(&configuration)
        return DockerSandboxProvider(configuration, logger: logger)
    }

    func local(
        _ directory: TemporaryDirectory,
        script: String = service,
        configure: (inout LocalSandboxProvider.Configuration) -> Void = { _ in }
    ) -> LocalSandboxProvider {
        var configuration = LocalSandboxProvider.Configuration(
            root: directory.file("sandboxes"),
            agentBinary: "/usr/bin/true",
            home: directory.path,
            searchPath: "/usr/bin:/bin"
        )
        configuration.isIsolated = self != .plain
        configuration.command = ["/bin/sh", "-c", script]
        configure(&configuration)
        return LocalSandboxProvider(configuration)
    }

    func specification(
        _ id: ID<Session>,
        _ directory: TemporaryDirectory,
        limits: SandboxSpecification.Limits = .init()
    ) throws -> SandboxSpecification {
        let workspace = directory.file("workspace")
        try FileManager.default.createDirectory(atPath: workspace, withIntermediateDirectories: true)
        return SandboxSpecification(
            sessionID: id,
            projectID: "local",
            workspaceID: "workspace",
            workspacePath: workspace,
            workspaceSource: workspace,
            workspaceCommit: nil,
            secretVerifier: "salt:hash",
            network: self == .isolatedWithInternet ? .internet : .none,
            limits: limits
        )
    }
}

extension SandboxProvider {
    /// What keeps it from making sandboxes. One that is too busy to tell in time is asked again.
    func problem(
        until isExpected: (ProviderState.Problem?) -> Bool = { $0 == nil }
    ) async -> ProviderState.Problem? {
        var problem = await state().problem
        for _ in 0..<30 where !isExpected(problem) {
            try? await Task.sleep(for: .milliseconds(100))
            problem = await state().problem
        }
        return problem
    }
}

/// What is left of a test's sandboxes on this machine.
enum Leftovers {
    /// The processes whose arguments or environment have `text`.
    static func processes(_ text: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.filter { name in
            guard let pid = Int32(name), pid != getpid() else { return false }
            return ["cmdline", "environ"].contains { file in
                let data = FileManager.default.contents(atPath: "/proc/\(name)/\(file)") ?? Data()
                return data.range(of: Data(text.utf8)) != nil
            }
        }
    }

    /// Waits until there are none; what a killed launcher leaves to the kernel goes without a word.
    static func areGone(_ text: String) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(240)
        while ContinuousClock.now < deadline {
            if processes(text).isEmpty { return true }
            try await Task.sleep(for: .milliseconds(5))
        }
        return false
    }
}
