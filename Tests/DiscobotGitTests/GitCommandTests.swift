// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct GitCommandTests {
    @Test func `collects output and accepts chosen exit codes`() async throws {
        try await Fixture.with { fixture in
            let command = fixture.command("home")
            #expect(try await command.run(["version"]).text.hasPrefix("git version"))
            let output = try await command.run(["config", "--get", "no.such"], acceptedExitCodes: [0, 1])
            #expect(output == GitOutput(bytes: [], exitCode: 1))
        }
    }

    @Test func `hands input over and lets git end without reading it`() async throws {
        try await Fixture.with { fixture in
            let input = [UInt8](repeating: 0x61, count: 1 << 20)
            let repository = try await fixture.emptyRepository()
            let output = try await repository.command.run(["hash-object", "--stdin"], input: input)
            #expect(output.line.count == 40)
            #expect(try await repository.command.run(["version"], input: input).exitCode == 0)
        }
    }

    @Test func `gives up when there is too much output`() async throws {
        try await Fixture.with { fixture in
            let command = fixture.command("home")
            let code = await errorCode {
                try await command.run(["-c", "alias.flood=!yes", "flood"], outputLimit: 10_000)
            }
            #expect(code == .tooLarge)
        }
    }

    @Test func `refuses NUL in an argument`() async throws {
        try await Fixture.with { fixture in
            #expect(await errorCode { try await fixture.command("home").run(["x\0y"]) } == .invalidArgument)
        }
    }

    @Test func `says that the directory is missing`() async throws {
        try await Fixture.with { fixture in
            let error = await error { try await fixture.command("missing").run(["version"]) }
            #expect(error?.code == .notFound)
            #expect(error?.message.contains("directory does not exist") == true)
        }
    }

    @Test func `says that git is missing`() async throws {
        let environment = GitEnvironment(inheriting: ["PATH": "/nonexistent"])
        let error = await error { try await GitCommand(directory: "/", environment: environment).run(["version"]) }
        #expect(error?.code == .notInstalled)
        #expect(error?.message.contains("install git") == true)
    }

    @Test func `knows which git of the search path runs`() async throws {
        try await Fixture.with { fixture in
            let programs = "\(fixture.root)/programs"
            for name in ["directory/git", "file", "program"] {
                try FileManager.default.createDirectory(
                    atPath: "\(programs)/\(name)",
                    withIntermediateDirectories: true
                )
            }
            try "".write(toFile: "\(programs)/file/git", atomically: true, encoding: .utf8)
            try "#!/bin/sh\necho mine".write(toFile: "\(programs)/program/git", atomically: true, encoding: .utf8)
            chmod("\(programs)/program/git", 0o755)
            let path = ["none", "directory", "file", "program"].map { "\(programs)/\($0)" }.joined(separator: ":")
            let environment = GitEnvironment(inheriting: ["PATH": "\(path):/usr/bin"])
            #expect("\(environment.executable)".contains("\(programs)/program/git"))
            #expect(try await GitCommand(directory: "/", environment: environment).run(["version"]).line == "mine")
        }
    }

    @Test func `inherits only what git needs`() {
        let environment = GitEnvironment(inheriting: [
            "HOME": "/home/me", "GIT_DIR": "/x", "GIT_SSH_COMMAND": "x", "LD_PRELOAD": "/x", "LANGUAGE": "de",
            "https_proxy": "http://proxy", "LC_ALL": "de_DE.UTF-8",
        ])
        let variables = environment.variables
        #expect(variables["HOME"] == "/home/me")
        #expect(variables["https_proxy"] == "http://proxy")
        #expect(variables["LC_ALL"] == "C.UTF-8")
        #expect(variables["GIT_SSH_COMMAND"]?.contains("BatchMode=yes") == true)
        #expect(variables["GIT_DIR"] == nil && variables["LD_PRELOAD"] == nil && variables["LANGUAGE"] == nil)
        #expect(variables["PATH"] != nil)
    }

    @Test func `does not run hooks, fsmonitor or remote helpers of a repository`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository()
            let trap = "#!/bin/sh\ntouch \(fixture.path("trap"))\n"
            try fixture.write(trap, to: "trap.sh")
            try fixture.write(trap, to: "repo/.git/hooks/post-checkout")
            for script in ["trap.sh", "repo/.git/hooks/post-checkout"] { chmod(fixture.path(script), 0o755) }
            for name in ["core.fsmonitor", "diff.external", "core.sshCommand", "core.askPass", "gpg.program"] {
                _ = try await repository.git("config", name, fixture.path("trap.sh"))
            }
            _ = try await repository.git("config", "commit.gpgSign", "true")
            _ = try await repository.git("config", "protocol.ext.allow", "always")
            _ = try await repository.git("remote", "add", "evil", "ext::sh -c touch% \(fixture.path("trap"))")
            try fixture.write("two\n", to: "repo/a.txt")
            _ = try await repository.status()
            _ = try await repository.diff(GitDiffRequest())
            try await repository.stage([])
            _ = try await repository.commit(message: "second")
            try await repository.checkout("HEAD~1")
            #expect(await error { try await repository.fetch() }?.message.contains("ext") == true)
            #expect(!fixture.exists("trap"))
        }
    }

    @Test func `stays out of a repository that encloses the directory`() async throws {
        try await Fixture.with { fixture in
            _ = try await fixture.repository()
            try fixture.makeDirectory("repo/inner")
            #expect(await errorCode { try await fixture.command("repo/inner").run(["status"]) } == .notARepository)
        }
    }

    @Test func `kills the whole process group when cancelled`() async throws {
        try await Fixture.with { fixture in
            let family = try Family(fixture)
            let task = Task {
                try await fixture.command("home").stream(family.arguments, timeout: .seconds(600)) { line in
                    if line == "started" { family.didStart() }
                }
            }
            await family.start()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            family.waitForEnd()
        }
    }

    @Test func `a cancelled git removes its locks, and its filters end with it`() async throws {
        try await Fixture.with { fixture in
            let repository = try await fixture.repository(files: [
                "a.txt": "one\n", ".gitattributes": "*.txt filter=slow",
            ])
            let family = try Family(filterIn: fixture)
            try fixture.write("two\n", to: "repo/a.txt")
            let task = Task {
                try await repository.command.stream(family.arguments, timeout: .seconds(600)) { line in
                    if line == "started" { family.didStart() }
                }
            }
            await family.start()
            #expect(fixture.exists("repo/.git/index.lock"))
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(!fixture.exists("repo/.git/index.lock"))
            family.waitForEnd()
            #expect(try await repository.git("diff", "--name-only") == "a.txt")
        }
    }

    @Test func `kills the whole process group after the time-out`() async throws {
        try await Fixture.with { fixture in
            let family = try Family(fixture)
            let code = await errorCode {
                try await fixture.command("home").run(family.arguments, timeout: .milliseconds(300))
            }
            #expect(code == .timedOut)
            family.waitForEnd()
        }
    }

    @Test func `kills what a failed git leaves behind`() async throws {
        try await Fixture.with { fixture in
            let family = try Family(fixture, end: "exit 3")
            #expect(await errorCode { try await fixture.command("home").run(family.arguments) } == .failed)
            family.waitForEnd()
        }
    }

    @Test func `does not start when already cancelled`() async throws {
        try await Fixture.with { fixture in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await fixture.command("home").run(["version"])
            }
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }
}

/// A shell that git starts, with children of its own. All of them hold a fifo open for writing, so its end proves that
/// none is left.
private struct Family {
    let arguments: [String]
    private let fifo: CInt
    private let started = AsyncStream<Void>.makeStream()

    /// By an alias.
    init(_ fixture: Fixture, end: String = "wait") throws {
        try self.init(in: fixture) { fifo in
            let script = "!exec 3>\(fifo); (sleep 1000 & wait) & sleep 1000 & echo started >&2; \(end)"
            return ["-c", "alias.family=\(script)", "family"]
        }
    }

    /// As the filter `slow`, while git has the index locked.
    init(filterIn fixture: Fixture) throws {
        try self.init(in: fixture) { fifo in
            ["-c", "filter.slow.clean=exec 3>\(fifo); echo started >&2; sleep 1000", "add", "a.txt"]
        }
    }

    private init(in fixture: Fixture, arguments: (_ fifo: String) -> [String]) throws {
        let path = fixture.path("fifo")
        try #require(mkfifo(path, 0o600) == 0)
        fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        try #require(fifo >= 0)
        self.arguments = arguments(path)
    }

    func didStart() { started.continuation.yield() }

    func start() async {
        for await _ in started.stream { return }
    }

    /// Bounded, because a blocked thread would outlive the time limit of the suite.
    func waitForEnd() {
        var event = pollfd(fd: fifo, events: 0, revents: 0)
        var byte: UInt8 = 0
        if read(fifo, &byte, 1) != 0 { _ = poll(&event, 1, 240_000) }
        #expect(read(fifo, &byte, 1) == 0)
        close(fifo)
    }
}
