// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// Conversations in containers, and what becomes of them when something is killed.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DockerChatTests {
    private func with(engine: DockerEngine? = nil, _ body: (ChatFixture, DockerEngine) async throws -> Void)
        async throws
    {
        try await ChatFixture.with(.init(provider: .docker, engine: engine)) { fixture in
            try await body(fixture, try #require(fixture.engine))
        }
    }

    enum Victim: CaseIterable {
        case runtime, container, removedContainer, serverAndContainer
    }

    private func kill(_ victim: Victim, _ session: String, _ fixture: ChatFixture, _ engine: DockerEngine) async throws
    {
        let name = "discobot-session-\(session)"
        switch victim {
        case .runtime: try fixture.processes(of: session).runtime.kill()
        case .container: try await engine.docker("kill", name)
        case .removedContainer: try await engine.docker("rm", "-f", name)
        case .serverAndContainer:
            fixture.server.kill()
            try await engine.docker("rm", "-f", name)
            try await fixture.startServer()
        }
    }

    @Test(arguments: Victim.allCases)
    func `an answer ends with an error where its container is killed, and the next one is whole`(
        victim: Victim
    ) async throws {
        try await with { fixture, engine in
            let session = fixture.newSession()
            let first = try await fixture.talk("echo kept > file; echo first", in: session)
            #expect(first.text == "first\n")
            let progress = Progress()
            async let answer = fixture.talk(ChatFixture.numbers(1000, pause: 100), in: session, progress: progress)
            await progress.reach(20)
            try await kill(victim, session, fixture, engine)
            let broken = try await answer
            try await broken.expectNumbers(1000)
            #expect(broken.types.last == "error")
            #expect(broken.error?.contains("(the sandbox ") == true, "\(broken.error ?? "")")
            let next = try await fixture.talk("cat file", in: session)
            #expect(next.text == "kept\n")
            try await fixture.expectHistory(of: session, [first, broken, next])
        }
    }

    @Test func `an engine that is killed while a session chats costs no data`() async throws {
        let engine = try await DockerEngine.start()
        defer { engine.end() }
        try await with(engine: engine) { fixture, engine in
            let session = fixture.newSession()
            let first = try await fixture.talk("echo kept > file; echo first", in: session)
            let progress = Progress()
            async let answer = fixture.talk(ChatFixture.numbers(1000, pause: 100), in: session, progress: progress)
            await progress.reach(20)
            try await engine.kill()
            try await engine.restart()
            let broken = try await answer
            try await broken.expectNumbers(1000)
            let next = try await fixture.talk("cat file", in: session)
            #expect(next.text == "kept\n")
            try await fixture.expectHistory(of: session, [first, broken, next])
        }
    }
}
