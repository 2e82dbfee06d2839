// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Logging
import Testing

@testable import DiscobotAgent

@Suite(.timeLimit(.minutes(10)))
struct CacheLinksTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The homes of two sessions of a project.
    private func with(_ body: (TemporaryDirectory, _ make: (String) -> Void) async throws -> Void) async throws {
        try await TemporaryDirectory.with { directory in
            try await Shell.run(
                #"cd "$0"; mkdir -p a/home b/home a/workspace/.discobot b/workspace/.discobot cache"#,
                directory.path
            )
            try await body(directory) { session in
                let root = directory.file(session)
                CacheLinks(DataDirectories(root: root, cache: directory.file("cache"))).make(Self.silent)
            }
        }
    }

    private func target(_ directory: TemporaryDirectory, _ path: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: directory.file(path))
    }

    @Test
    func `what one session fetches, another has`() async throws {
        try await with { directory, make in
            let list = #"{"additionalPaths":["~/.gem","~/../workspace","/etc"]}"#
            for session in ["a", "b"] { try directory.write(list, to: "\(session)/workspace/.discobot/cache.json") }
            make("a")
            for path in [".npm", "go/pkg/mod", ".gem"] {
                try directory.write("fetched", to: "a/home/\(path)/package")
            }
            make("b")
            for path in [".npm", "go/pkg/mod", ".gem"] {
                #expect(directory.exists("b/home/\(path)/package"), "\(path)")
            }
            #expect(try directory.contents("cache") == ["home"])
            #expect(target(directory, "a/workspace") == nil)
            // Again, as at each start of the runtime, nothing changes.
            make("b")
            #expect(directory.exists("b/home/.gem/package"))
        }
    }

    @Test
    func `what a session has of its own stays`() async throws {
        try await with { directory, make in
            try await Shell.run(
                #"cd "$0/a/home"; mkdir -p .npm/own .yarn go; ln -s /nonexistent .cache; echo >go/pkg"#,
                directory.path
            )
            make("a")
            #expect(directory.exists("a/home/.npm/own"))
            #expect(target(directory, "a/home/.npm") == nil)
            #expect(target(directory, "a/home/.cache") == "/nonexistent")
            // An empty one is nothing of its own.
            #expect(target(directory, "a/home/.yarn") == directory.file("cache/home/.yarn"))
            #expect(target(directory, "a/home/.m2/repository") != nil)
        }
    }

    @Test
    func `a link in the cache leads nobody elsewhere`() async throws {
        try await with { directory, make in
            try await Shell.run(#"mkdir -p "$0/cache/home"; ln -s "$0/a" "$0/cache/home/.npm""#, directory.path)
            make("a")
            #expect(target(directory, "a/home/.npm") == nil)
            #expect(target(directory, "a/home/.yarn") != nil)
        }
    }

    @Test
    func `without a cache programs make their directories themselves`() async throws {
        try await with { directory, make in
            make("a")
            try FileManager.default.removeItem(atPath: directory.file("cache"))
            make("a")
            try await Shell.run(#"mkdir -p "$0/a/home/.npm/own" "$0/a/home/go/pkg/mod/own""#, directory.path)
            #expect(target(directory, "a/home/.npm") == nil)
        }
    }

    @Test
    func `a cache that was removed is made again`() async throws {
        try await with { directory, make in
            make("a")
            try FileManager.default.removeItem(atPath: directory.file("cache/home"))
            make("a")
            try directory.write("fetched", to: "a/home/.npm/package")
            #expect(directory.exists("cache/home/.npm/package"))
        }
    }

    @Test(arguments: ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /nonexistent", "truncate -s 1G"])
    func `a cache file that is none does no harm`(command: String) async throws {
        try await with { directory, make in
            try await Shell.run(#"\#(command) "$0/a/workspace/.discobot/cache.json""#, directory.path)
            make("a")
            #expect(target(directory, "a/home/.npm") != nil)
        }
    }

    @Test
    func `the runtime makes the links before agents can work`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            try await Shell.run(
                #"""
                mkdir "$0/cache"; cd "$0/source"; mkdir .discobot
                echo '{"additionalPaths":["~/.gem","/etc/passwd"]}' >.discobot/cache.json; git add .
                git -c user.name=a -c user.email=a@example.com commit -q -m cache
                """#,
                directory.path
            )
            let environment = ["DISCOBOT_CACHE_DIR": directory.file("cache")]
            let runtime = try await AgentRuntimeProcess(in: directory, environment: environment)
            defer { runtime.kill() }
            try await runtime.start("echo one >~/.gem/file; echo two >~/.cache/file", completion: "c")
            _ = try await runtime.chunks(of: "c")
            #expect(directory.exists("cache/home/.gem/file") && directory.exists("cache/home/.cache/file"))
        }
    }
}
