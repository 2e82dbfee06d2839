// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Synchronization
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct GitCloneTests {
    @Test func `clones a file URL with progress`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository(files: ["a.txt": "one\n", "b/c.txt": "two\n"])
            let reports = Mutex<[GitCloneProgress]>([])
            let clone = try await GitRepository.clone(
                "file://" + origin.directory,
                into: fixture.path("parent/clone"),
                environment: fixture.environment
            ) { progress in
                reports.withLock { $0.append(progress) }
            }
            #expect(try await clone.headCommit() == origin.headCommit())
            #expect(try clone.workingFile("b/c.txt") == Array("two\n".utf8))
            let all = reports.withLock { $0 }
            #expect(all.contains(GitCloneProgress(phase: "receiving", percent: 100)))
            #expect(zip(all, all.dropFirst()).allSatisfy { $0 != $1 })
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path("parent")) == ["clone"])
        }
    }

    @Test func `clones a path that ends in .git, and into an empty directory`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository("origin.git")
            try fixture.makeDirectory("clone")
            let clone = try await GitRepository.clone(
                origin.directory,
                into: fixture.path("clone"),
                environment: fixture.environment
            )
            #expect(try await clone.headCommit() == origin.headCommit())
        }
    }

    @Test func `returns a repository that is there already`() async throws {
        try await Fixture.with { fixture in
            let existing = try await fixture.repository("clone")
            let clone = try await GitRepository.clone(
                "file:///nonexistent",
                into: fixture.path("clone"),
                environment: fixture.environment
            )
            #expect(try await clone.headCommit() == existing.headCommit())
        }
    }

    @Test func `does not touch a directory with other files`() async throws {
        try await Fixture.with { fixture in
            try fixture.write("x", to: "clone/file")
            let code = await errorCode {
                try await GitRepository.clone(
                    "file:///nonexistent",
                    into: fixture.path("clone"),
                    environment: fixture.environment
                )
            }
            #expect(code == .notARepository)
            #expect(fixture.exists("clone/file"))
        }
    }

    @Test func `removes what a killed clone has left, and only that`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository("origin")
            let stale = "parent/.clone.\(UUID().uuidString).cloning"
            let others = [
                "parent/.clone.x.\(UUID().uuidString).cloning", "parent/.clone.backup.cloning", "parent/.clone",
            ]
            for name in [stale] + others { try fixture.write("x", to: name + "/file") }
            _ = try await GitRepository.clone(
                "file://" + origin.directory,
                into: fixture.path("parent/clone"),
                environment: fixture.environment
            )
            #expect(!fixture.exists(stale))
            #expect(others.allSatisfy(fixture.exists))
        }
    }

    @Test func `leaves nothing behind after a failure`() async throws {
        try await Fixture.with { fixture in
            try fixture.makeDirectory("parent")
            let error = await error {
                try await GitRepository.clone(
                    "file:///nonexistent/x",
                    into: fixture.path("parent/clone"),
                    environment: fixture.environment
                )
            }
            #expect(error?.code == .notFound)
            #expect(error?.message.contains("cloning") == false)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path("parent")).isEmpty)
        }
    }

    @Test func `leaves nothing behind when cancelled`() async throws {
        try await Fixture.with { fixture in
            let origin = try await fixture.repository("origin")
            let task = Task {
                try await GitRepository.clone(
                    "file://" + origin.directory,
                    into: fixture.path("parent/clone"),
                    environment: fixture.environment
                ) { _ in
                    withUnsafeCurrentTask { $0?.cancel() }
                }
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path("parent")).isEmpty)
        }
    }

    @Test func `shows no credentials`() async throws {
        try await Fixture.with { fixture in
            let clone = { (url: String) in
                try await GitRepository.clone(url, into: fixture.path("clone"), environment: fixture.environment)
            }
            let refused = await error { try await clone("https://me:secret@localhost:1/x") }
            #expect(refused?.code == .invalidArgument)
            #expect(refused?.message.contains("secret") == false)

            // Configuration may add some.
            let url = "http://me:secret@localhost:1/"
            _ = try await fixture.command("home").run(
                ["config", "--global", "url.\(url).insteadOf", "https://example.com/"])
            let failed = await error { try await clone("https://example.com/x") }
            #expect(failed?.message.contains("localhost") == true)
            #expect(failed?.message.contains("secret") == false)
        }
    }
}
