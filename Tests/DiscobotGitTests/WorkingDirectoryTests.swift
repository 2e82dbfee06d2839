// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Synchronization
import Testing

@testable import DiscobotGit

@Suite(.timeLimit(.minutes(10))) struct WorkingDirectoryTests {
    @Test func `reads and writes files, and creates directories`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try directory.write(Array("x".utf8), to: "a/b/c.txt")
            #expect(try directory.read("a/b/c.txt") == Array("x".utf8))
            #expect(try directory.read("./a//b/c.txt") == Array("x".utf8))
            #expect(try fixture.mode("work/a/b/c.txt") == 0o644)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path("work/a/b")) == ["c.txt"])
        }
    }

    @Test func `keeps the mode of an existing file`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.write("old", to: "work/run.sh")
            chmod(fixture.path("work/run.sh"), 0o750)
            try directory.write(Array("new".utf8), to: "run.sh")
            #expect(try fixture.mode("work/run.sh") == 0o750)
            #expect(try directory.read("run.sh") == Array("new".utf8))
        }
    }

    /// Only root may give files away, as which tests run.
    @Test func `keeps the owner of an existing file, and the group of a shared directory`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.write("old", to: "work/theirs")
            #expect(chown(fixture.path("work/theirs"), 4242, 4243) == 0)
            try fixture.makeDirectory("work/shared")
            #expect(chown(fixture.path("work/shared"), 0, 4243) == 0)
            #expect(chmod(fixture.path("work/shared"), 0o2775) == 0)
            for (path, owner) in [("theirs", "4242:4243"), ("shared/new", "0:4243"), ("own", "0:0")] {
                try directory.write(Array("new".utf8), to: path)
                #expect(try await fixture.shell("stat -c %u:%g \"$1\"", "work/" + path) == owner, "\(path)")
            }
        }
    }

    @Test func `what was half written by one that was killed goes with a later write`() async throws {
        try await Fixture.with { fixture in
            try fixture.makeDirectory("staging")
            let directory = WorkingDirectory(try fixture.workingDirectory().root, staging: fixture.path("staging"))
            let prefix = WorkingDirectory.stagingPrefix
            for name in ["\(prefix)old.tmp", "\(prefix)new.tmp", "other"] {
                try fixture.write("x", to: "staging/\(name)")
            }
            try await fixture.shell("touch -d '2 hours ago' staging/.*old.tmp staging/other")
            try directory.write(Array("y".utf8), to: "file")
            let left = try FileManager.default.contentsOfDirectory(atPath: fixture.path("staging"))
            #expect(left.sorted() == ["\(prefix)new.tmp", "other"])
        }
    }

    @Test(arguments: [
        "", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "x\0y", ".", "./", ".git", ".git/config",
        "sub/.git/config", ".GIT/config", "./.git", String(repeating: "x/", count: 3_000),
    ])
    func `refuses a path that leaves or enters git's files`(path: String) async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            #expect(await errorCode { try directory.read(path) } == .invalidArgument)
            #expect(await errorCode { try directory.write([], to: path) } == .invalidArgument)
        }
    }

    @Test(arguments: [
        ("/etc", "link/passwd"), ("/etc/passwd", "link"), ("../..", "link/etc/passwd"), ("../secret", "link"),
        ("sub/../../secret", "link"), ("..", "link/secret"), ("link", "link"), ("link/x", "link"),
        (".git", "link/config"),
        (".git/config", "link"), ("sub/../.git", "link/config"), (".", "link/.git/config"),
    ])
    func `refuses a symbolic link that leaves, loops or enters git's files`(target: String, path: String) async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.write("secret", to: "secret")
            try fixture.write("secret", to: "work/.git/config")
            try fixture.makeDirectory("work/sub")
            try fixture.link("work/link", to: target)
            #expect(await errorCode { try directory.read(path) } == .invalidArgument)
            #expect(await errorCode { try directory.write([1], to: path) } == .invalidArgument)
            #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path("secret"))) == Data("secret".utf8))
        }
    }

    @Test func `follows symbolic links that stay inside`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.write("x", to: "work/a/b/c.txt")
            try fixture.makeDirectory("work/d")
            try fixture.link("work/d/up", to: "../a/./b")
            try fixture.link("work/chain", to: "d/up/c.txt")
            #expect(try directory.read("chain") == Array("x".utf8))
            try directory.write(Array("y".utf8), to: "d/up/c.txt")
            #expect(try directory.read("a/b/c.txt") == Array("y".utf8))
            try directory.write(Array("z".utf8), to: "chain")
            #expect(try directory.read("a/b/c.txt") == Array("z".utf8))
        }
    }

    @Test func `finds nothing behind a dangling link, and writes its target`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.link("work/dangling", to: "new/file")
            #expect(await errorCode { try directory.read("dangling") } == .notFound)
            try directory.write(Array("x".utf8), to: "dangling")
            #expect(try directory.read("new/file") == Array("x".utf8))
        }
    }

    @Test func `refuses directories, fifos and devices`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.makeDirectory("work/sub")
            try #require(mkfifo(fixture.path("work/fifo"), 0o600) == 0)
            for name in ["sub", "fifo"] {
                #expect(await errorCode { try directory.read(name) } == .invalidArgument)
                #expect(await errorCode { try directory.write([], to: name) } == .invalidArgument)
            }
            #expect(await errorCode { try WorkingDirectory("/dev").read("null") } == .invalidArgument)
        }
    }

    @Test func `says what is missing`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            try fixture.write("x", to: "work/file")
            #expect(await error { try directory.read("no.txt") }?.message == "File not found: no.txt")
            #expect(await errorCode { try directory.read("no/no.txt") } == .notFound)
            #expect(await errorCode { try directory.read("file/x") } == .notFound)
            #expect(await errorCode { try WorkingDirectory(fixture.path("no")).read("x") } == .notFound)
        }
    }

    @Test func `limits the size`() async throws {
        try await Fixture.with { fixture in
            try fixture.write([1, 2, 3, 4], to: "work/four")
            try fixture.write([1, 2, 3], to: "work/three")
            let directory = WorkingDirectory(fixture.path("work"), fileLimit: 3)
            #expect(try directory.read("three") == [1, 2, 3])
            #expect(await errorCode { try directory.read("four") } == .tooLarge)
            #expect(await errorCode { try directory.write([1, 2, 3, 4], to: "three") } == .tooLarge)
        }
    }

    @Test func `never leaves while links are swapped`() async throws {
        try await Fixture.with { fixture in
            let directory = try fixture.workingDirectory()
            let inside = Array("inside".utf8)
            try fixture.write(inside, to: "work/real/file")
            try fixture.write("outside", to: "secret/file")
            let swapper = Swapper(directory: fixture.path("work"), name: "swap")
            swapper.start()
            var reads = 0
            for _ in 0..<2_000 {
                if let content = try? directory.read("swap/file") {
                    #expect(content == inside)
                    reads += 1
                }
                try? directory.write(inside, to: "swap/file")
            }
            swapper.stop()
            #expect(reads > 0)
            let outside = try FileManager.default.contentsOfDirectory(atPath: fixture.path("secret"))
            #expect(outside == ["file"])
            #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.path("secret/file"))) == Data("outside".utf8))
        }
    }
}

extension Fixture {
    fileprivate func workingDirectory() throws -> WorkingDirectory {
        try makeDirectory("work")
        return WorkingDirectory(path("work"))
    }
}

/// Makes a name a directory, a link inside and a link outside, in turn and as fast as it can.
private final class Swapper: Sendable {
    private let directory: String
    private let name: String
    private let isStopped = Atomic(false)
    private let thread = Mutex<pthread_t?>(nil)

    init(directory: String, name: String) {
        self.directory = directory
        self.name = name
    }

    func start() {
        let context = Unmanaged.passRetained(self).toOpaque()
        thread.withLock { thread in
            var created = pthread_t()
            let code = pthread_create(
                &created,
                nil,
                { context in
                    guard let context else { return nil }
                    Unmanaged<Swapper>.fromOpaque(context).takeRetainedValue().swap()
                    return nil
                },
                context
            )
            thread = code == 0 ? created : nil
        }
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        thread.withLock { thread in
            if let thread { pthread_join(thread, nil) }
        }
    }

    private func swap() {
        let path = directory + "/" + name
        while !isStopped.load(ordering: .relaxed) {
            for target in ["real", "../secret"] {
                symlink(target, path + ".new")
                rename(path + ".new", path)
            }
            unlink(path)
            rename(directory + "/real", path)
            rename(path, directory + "/real")
        }
    }
}
