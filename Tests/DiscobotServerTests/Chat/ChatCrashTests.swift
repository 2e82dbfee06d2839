// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

/// What becomes of conversations when processes are killed.
@Suite(.timeLimit(.minutes(20)))
struct ChatCrashTests {
    @Test(arguments: SessionProvider.allCases)
    func `a server that is killed again and again loses nothing of five answers`(provider: SessionProvider) async throws
    {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let count = 120
            let progress = Progress()
            let sessions = (0..<5).map { _ in fixture.newSession() }
            let answers = try await withThrowingTaskGroup(of: (String, ChatAnswer).self) { group in
                for session in sessions {
                    group.addTask {
                        (session, try await fixture.talk(ChatFixture.numbers(count), in: session, progress: progress))
                    }
                }
                for frames in [1, 40, 41, 150, 300] {
                    await progress.reach(frames)
                    try await fixture.restartServer()
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            for session in sessions {
                let answer = try #require(answers[session])
                try await answer.expectNumbers(count)
                #expect(answer.types.last == "finish")
                try await fixture.expectHistory(of: session, [answer])
            }
        }
    }

    enum Victim: CaseIterable {
        case runtime, launcher, bubblewrap, serverAndRuntime
    }

    @Test(arguments: Victim.allCases)
    func `an answer ends with an error where its sandbox is killed, and the next one is whole`(
        victim: Victim
    ) async throws {
        try await ChatFixture.with { fixture in
            let session = fixture.newSession()
            let first = try await fixture.talk("echo kept > file; echo first", in: session)
            #expect(first.text == "first\n")
            let progress = Progress()
            async let answer = fixture.talk(ChatFixture.numbers(1000, pause: 100), in: session, progress: progress)
            await progress.reach(20)
            try await Self.kill(victim, fixture, session)
            let broken = try await answer
            try await broken.expectNumbers(1000)
            #expect(broken.types.last == "error")
            let end = victim == .launcher ? "has ended without a trace" : "was killed"
            #expect(broken.error?.contains("(the sandbox \(end)") == true, "\(broken.error ?? "")")
            let next = try await fixture.talk("cat file", in: session)
            #expect(next.text == "kept\n")
            try await fixture.expectHistory(of: session, [first, broken, next])
        }
    }

    private static func kill(_ victim: Victim, _ fixture: ChatFixture, _ session: String) async throws {
        let processes = fixture.processes(of: session)
        switch victim {
        case .runtime: try processes.runtime.kill()
        case .launcher: try processes.launcher.kill()
        case .bubblewrap:
            let all = try processes.bubblewraps
            #expect(!all.isEmpty)
            for process in all { process.kill() }
        case .serverAndRuntime:
            let runtime = try processes.runtime
            fixture.server.kill()
            runtime.kill()
            try await fixture.startServer()
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a runtime that is killed at any moment breaks no other turn`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            var answers = [try await fixture.talk("echo first", in: session)]
            var kills = 0
            for frames in [1, 2, 4, 8, 30, 40, 42, 44] {
                let progress = Progress()
                async let next = fixture.talk(ChatFixture.numbers(40, pause: 2), in: session, progress: progress)
                await progress.reach(frames)
                // Between two kills the next runtime may not have begun.
                if let runtime = try? fixture.processes(of: session).runtime {
                    runtime.kill()
                    kills += 1
                }
                answers.append(try await next)
            }
            #expect(kills > 4)
            for answer in answers.dropFirst() {
                try await answer.expectWhole()
                #expect(ChatFixture.printed(40).hasPrefix(answer.text))
                #expect(answer.types.last == (answer.error == nil ? "finish" : "error"))
            }
            try await fixture.expectHistory(of: session, answers)
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `an agent that is killed has an exit code, and the sandbox goes on`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            async let answer = fixture.talk(
                "sleep 1000 & " + ChatFixture.numbers(1000, pause: 100),
                in: session,
                progress: progress
            )
            await progress.reach(20)
            let runtime = try fixture.processes(of: session).runtime.identifier
            try fixture.processes(of: session).script.kill()
            let whole = try await answer
            try await whole.expectWhole()
            #expect(ChatFixture.printed(1000).hasPrefix(whole.text))
            let output = whole.chunks.first { $0.type == "tool-output-available" }?.json["output"]
            #expect(output?["exitCode"].int == 137)
            try await fixture.expectHistory(of: session, [whole])
            #expect(try fixture.processes(of: session).runtime.identifier == runtime)
            #expect(!SeenProcess.all.contains { $0.isOf(session: session) && $0.name == "sleep" })
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a server that is asked to end leaves its answers to the next one`(provider: SessionProvider) async throws {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let progress = Progress()
            let sessions = (0..<3).map { _ in fixture.newSession() }
            try await withThrowingTaskGroup(of: ChatAnswer.self) { group in
                for session in sessions {
                    group.addTask {
                        try await fixture.talk(ChatFixture.numbers(150), in: session, progress: progress)
                    }
                }
                for frames in [30, 120] {
                    await progress.reach(frames)
                    #expect(await fixture.server.terminate() == 0)
                    try await fixture.startServer()
                }
                for try await answer in group {
                    try await answer.expectNumbers(150)
                    #expect(answer.types.last == "finish")
                }
            }
            for session in sessions { #expect(try await fixture.messages(of: session).count == 2) }
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `messages that wait are answered in their order, once, whatever server runs`(provider: SessionProvider)
        async throws
    {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            _ = try await fixture.talk("echo 0 > count", in: session)
            let progress = Progress()
            let script = "n=$(($(cat count) + 1)); echo $n > count; echo $n; " + ChatFixture.numbers(20)
            let answers = try await withThrowingTaskGroup(of: ChatAnswer.self) { group in
                for _ in 0..<6 { group.addTask { try await fixture.talk(script, in: session, progress: progress) } }
                for (frames, isKilled) in [(1, true), (30, false), (60, true), (100, false)] {
                    await progress.reach(frames)
                    if isKilled { fixture.server.kill() } else { #expect(await fixture.server.terminate() == 0) }
                    try await fixture.startServer()
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for answer in answers { try await answer.expectWhole() }
            let texts = (1...6).map { "\($0)\n" + ChatFixture.printed(20) }
            #expect(Set(answers.map(\.text)) == Set(texts))
            let messages = try await fixture.messages(of: session)
            #expect(messages.count { $0["role"].string == "user" } == 7)
            let stored = messages.filter { $0["role"].string == "assistant" }
                .map { $0["parts"].list.compactMap { $0["text"].string }.joined() }
            #expect(stored == [""] + texts)
        }
    }

    @Test
    func `a server that is killed while a sandbox is made leaves it to the next one`() async throws {
        try await SlowSandbox.with(.local) { fixture in
            let session = fixture.newSession()
            async let answer = fixture.talk(ChatFixture.numbers(20), in: session)
            try await SlowSandbox.waitUntilAsked(fixture)
            try await fixture.restartServer()
            try SlowSandbox.release(fixture)
            let whole = try await answer
            try await whole.expectNumbers(20)
            #expect(whole.types.last == "finish")
            try await fixture.expectHistory(of: session, [whole])
        }
    }

    @Test(arguments: SessionProvider.allCases)
    func `a session whose removal the server does not survive is gone with the next one`(provider: SessionProvider)
        async throws
    {
        try await ChatFixture.with(.init(provider: provider)) { fixture in
            let session = fixture.newSession()
            let progress = Progress()
            let body = fixture.message(ChatFixture.numbers(1000, pause: 100), in: session)
            async let broken = fixture.client.chat(body) { part in
                progress.step(part.frames.last)
                return false
            }
            await progress.reach(10)
            #expect(try await fixture.client.delete("/api/projects/local/sessions/\(session)").status == 200)
            try await fixture.restartServer()
            _ = try? await broken
            try await eventually { !SeenProcess.all.contains { $0.isOf(session: session) } }
            try await fixture.client.removeSession(session)
            #expect(try await fixture.client.resume(session).status == 204)
        }
    }
}
