// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

/// Images that real engines get from a real registry.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerRegistryTests {
    /// Podman has to be told that it needs no certificate.
    private static let openPodman = #"""
        export CONTAINERS_REGISTRIES_CONF="$directory/registries.conf"
        printf '[[registry]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n' >"$CONTAINERS_REGISTRIES_CONF"
        """#

    private func with(
        _ kind: DockerEngine.Kind,
        login: String,
        _ body: (TestRegistry, DockerFixture, _ settings: TemporaryDirectory) async throws -> Void
    ) async throws {
        let own = kind == .podman ? try await DockerEngine.start(.podman, prepare: Self.openPodman) : nil
        defer { own?.end() }
        let engine = if let own { own } else { try await DockerEngine.shared() }
        try await TemporaryDirectory.with { settings in
            try await TestRegistry.with(engine, port: own == nil ? 0 : 5000, login: login) { registry in
                try await DockerFixture.with(engine: engine) {
                    $0.image = registry.image
                    $0.settingsDirectory = settings.path
                } _: {
                    try await body(registry, $0, settings)
                }
                try await engine.docker("rmi", "-f", registry.image)
            }
        }
    }

    @Test(arguments: [DockerEngine.Kind.docker, .podman])
    func `a missing image is refused without the right password, and then pulled, told of and run`(
        kind: DockerEngine.Kind
    ) async throws {
        let password = "correct-horse"
        try await with(kind, login: "tester:\(password)") { registry, fixture, settings in
            for wrong in [nil, "wrong-battery"] {
                let login = wrong.map { "tester:\($0)" }
                if let login { try registry.logIn(login, in: settings) }
                let error = await #expect(throws: SandboxError.self) { try await fixture.create("refused") }
                #expect(error?.code == .invalidImage)
                let text = error.map { "\($0.message) \($0)" } ?? ""
                for part in [registry.image, "pulling it from \(registry.host)", "docker login \(registry.host)"] {
                    #expect(text.contains(part), "\(text)")
                }
                let secrets = [wrong, login.map { Data($0.utf8).base64EncodedString() }].compactMap { $0 }
                for secret in secrets { #expect(!text.contains(secret), "\(text)") }
            }
            try registry.logIn("tester:\(password)", in: settings)
            #expect(try await !fixture.provider.isImagePresent())
            let reports = Mutex<[SandboxImageProgress]>([])
            try await fixture.provider.pullImage { report in reports.withLock { $0.append(report) } }
            #expect(try await fixture.provider.isImagePresent())
            // Podman tells how large a layer is only when it takes longer.
            if kind == .docker { try expectRise(reports.withLock { $0 }) }
            let id = try await fixture.run()
            #expect(try await fixture.output(of: "echo $PULLED; ls /opt", in: id) == "yes\npulled")
        }
    }

    /// Checks that both numbers never fall, that there is something between the beginning and the end, and that all came.
    private func expectRise(_ reports: [SandboxImageProgress]) throws {
        let bytes = reports.map(\.bytes)
        let totals = reports.compactMap(\.totalBytes)
        #expect(bytes == bytes.sorted())
        #expect(totals == totals.sorted())
        #expect(reports.contains { $0.bytes > 0 && $0.bytes < $0.totalBytes ?? 0 })
        let last = try #require(reports.last)
        #expect(last.bytes == last.totalBytes)
        // At least the layer that no engine has.
        #expect(last.bytes > 4 << 20)
    }
}
