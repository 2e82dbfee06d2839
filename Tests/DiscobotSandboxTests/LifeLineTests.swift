// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotSandbox

@Suite(.timeLimit(.minutes(10)))
struct LifeLineTests {
    /// A pipe that is held for writing.
    private static func hold(_ path: String) throws -> CInt {
        try #require(mkfifo(path, 0o600) == 0)
        // A reader lets the writer in, and may go then.
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        let writer = open(path, O_WRONLY | O_CLOEXEC)
        try #require(writer >= 0)
        return writer
    }

    @Test
    func `is held as long as somebody can write`() async throws {
        try await TemporaryDirectory.with { directory in
            let line = LifeLine(path: directory.file("alive"))
            #expect(try !line.isHeld)
            let writer = try Self.hold(line.path)
            #expect(try line.isHeld)
            #expect(try await !line.hasEnded(within: .milliseconds(1)))
            close(writer)
            // A process that another test is just starting may still have it.
            #expect(try await line.hasEnded(within: .seconds(240)))
            #expect(try !line.isHeld)
            #expect(try line.watch {} == nil)
        }
    }

    @Test
    func `what is written does not end it`() async throws {
        try await TemporaryDirectory.with { directory in
            let line = LifeLine(path: directory.file("alive"))
            let writer = try Self.hold(line.path)
            let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
            let watch = try line.watch { continuation.finish() }
            #expect(write(writer, "x", 1) == 1)
            // Read by the watch, so nothing is left for this one.
            #expect(try await !line.hasEnded(within: .milliseconds(20)))
            close(writer)
            for await _ in ends {}
            watch?.cancel()
        }
    }

    @Test
    func `ends are told while other watches are cancelled`() async throws {
        try await TemporaryDirectory.with { directory in
            try await withThrowingTaskGroup { group in
                for worker in 0..<8 {
                    group.addTask {
                        for round in 0..<100 {
                            let line = LifeLine(path: directory.file("\(worker)-\(round)"))
                            let writer = try Self.hold(line.path)
                            let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
                            let watch = try line.watch { continuation.finish() }
                            let cancelled = try line.watch {}
                            async let end: Void = Self.end(writer)
                            cancelled?.cancel()
                            await end
                            for await _ in ends {}
                            watch?.cancel()
                        }
                    }
                }
                try await group.waitForAll()
            }
            let deadline = ContinuousClock.now + .seconds(240)
            while ContinuousClock.now < deadline, try openFiles(below: directory.path) > 0 {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try openFiles(below: directory.path) == 0)
        }
    }

    @concurrent
    private static func end(_ writer: CInt) async {
        close(writer)
    }

    /// How many files below that path this process has open.
    private func openFiles(below path: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return target?.hasPrefix(path + "/") == true
        }
    }
}
