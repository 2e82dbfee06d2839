// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Synchronization
import Testing

/// A server that is killed while it makes or removes a sandbox: at each of its requests that change something, once the
/// engine has done what it was asked for.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerKillTests {
    /// Counts requests once it is armed, and acts at one of them.
    private final class Trap: Sendable {
        private struct State {
            var isArmed = false
            var count = 0
            var step = 0
            var act: @Sendable () -> Void = {}
        }

        private let state = Mutex(State())

        func arm(_ step: Int, _ act: @escaping @Sendable () -> Void) {
            state.withLock { $0 = State(isArmed: true, count: 0, step: step, act: act) }
        }

        /// False when it was never reached.
        func disarm() -> Bool {
            state.withLock { state in
                state.isArmed = false
                return state.count >= state.step
            }
        }

        func answer() -> StubDockerEngine.Answer? {
            state.withLock { state in
                guard state.isArmed else { return nil }
                state.count += 1
                return state.count == state.step ? .real(then: state.act) : nil
            }
        }
    }

    private func with(_ trap: Trap, _ body: (ChatFixture, DockerEngine) async throws -> Void) async throws {
        let engine = try await DockerEngine.start()
        defer { engine.end() }
        try await TemporaryDirectory.with { directory in
            let stub = try StubDockerEngine(in: directory, before: String(engine.host.dropFirst(7))) { request in
                // Looks change nothing, and there are more of them the busier the machine is.
                request.hasPrefix("GET ") ? nil : trap.answer()
            }
            defer { stub.close() }
            let setting = ChatFixture.Setting(
                network: "internet",
                provider: .docker,
                engine: engine,
                environment: ["DOCKER_HOST": "unix://\(stub.path)"]
            )
            try await ChatFixture.with(setting) { try await body($0, engine) }
        }
    }

    private func left(_ engine: DockerEngine) async throws -> [String] {
        let label = "label=discobot.managed=true"
        let found =
            try await engine.docker("ps", "-a", "--format", "{{.Names}}", "--filter", label)
            + engine.docker("volume", "ls", "-q", "--filter", label)
            + engine.docker("network", "ls", "--format", "{{.Name}}", "--filter", label)
        return found.split(separator: "\n").map { String($0) }.filter { $0 != "discobot-cache-local" }
    }

    /// Those that were prepared, also without a name.
    private func images(_ engine: DockerEngine) async throws -> [String] {
        try await engine.docker("images", "-q", "--filter", "label=discobot.type=prepared")
            .split(separator: "\n").map { String($0) }
    }

    @Test func `a kill at any step of making a sandbox leaves a usable session, and nothing when that is removed`()
        async throws
    {
        let trap = Trap()
        try await with(trap) { fixture, engine in
            var step = 0
            var isReached = true
            while isReached {
                step += 1
                // So that the image is prepared each time.
                for image in try await images(engine) { try await engine.docker("rmi", "-f", image) }
                let session = fixture.newSession()
                let server = fixture.server
                trap.arm(step) { server.kill() }
                async let answer = fixture.talk("echo usable", in: session)
                while server.isRunning, await fixture.sessionStatus(session) != "ready" {
                    try await Task.sleep(for: .milliseconds(10))
                }
                isReached = trap.disarm()
                if isReached { try await fixture.restartServer() }
                let text = try await answer.text
                #expect(text == "usable\n", "killed at request \(step)")
                try await fixture.client.removeSession(session)
                #expect(try await left(engine) == [], "killed at request \(step)")
                #expect(try await images(engine).count == 1, "killed at request \(step)")
            }
            #expect(step > 8)
        }
    }

    @Test func `a kill at any step of removing a sandbox leaves nothing`() async throws {
        let trap = Trap()
        try await with(trap) { fixture, engine in
            var step = 0
            var isReached = true
            while isReached {
                step += 1
                let session = fixture.newSession()
                #expect(try await fixture.talk("echo usable", in: session).text == "usable\n")
                let server = fixture.server
                trap.arm(step) { server.kill() }
                _ = try? await fixture.client.delete("/api/projects/local/sessions/\(session)")
                while server.isRunning, await fixture.sessionStatus(session) != nil {
                    try await Task.sleep(for: .milliseconds(10))
                }
                isReached = trap.disarm()
                if isReached { try await fixture.restartServer() }
                try await fixture.client.removeSession(session)
                #expect(try await left(engine) == [], "killed at request \(step)")
            }
            #expect(step > 4)
        }
    }
}

extension ChatFixture {
    /// Nil when there is no such session, or nobody to tell.
    fileprivate func sessionStatus(_ session: String) async -> String? {
        try? await client.get("/api/projects/local/sessions/\(session)").json["status"].string
    }
}
