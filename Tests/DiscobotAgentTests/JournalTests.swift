// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotAgent

struct JournalTests {
    private let message = UIMessage(id: "m", role: .user, parts: [.text("hello")])

    private func write(_ journal: Journal, _ completion: String, deltas: Int) throws -> JournalWriter {
        let writer = try journal.begin(completion, message: message, messageID: Conversation.messageID(of: completion))
        for number in 0..<deltas { try writer.append(.textDelta(id: "t", delta: "\(number)\n")) }
        return writer
    }

    private func frames(_ journal: Journal, _ completion: String, after sequence: Int = 0) throws -> String {
        var reader = try JournalReader(try #require(journal.file(completion)), after: sequence)
        defer { reader.close() }
        var frames: [UInt8] = []
        while true {
            let next = try reader.next()
            if next.isEmpty { return String(decoding: frames, as: UTF8.self) }
            frames += next
        }
    }

    @Test
    func `chunks are replayed with their numbers, from any of them`() async throws {
        try await TemporaryDirectory.with { directory in
            let journal = try Journal(directory: directory.file("journal"))
            try write(journal, "c", deltas: 2).end(.finished)
            let all = try frames(journal, "c")
            let start = #"id: c:1\#ndata: {"type":"start","messageId":"msg-c"}\#n\#n"#
                .replacing("\\#n", with: "\n")
            #expect(all.hasPrefix(start))
            #expect(all.hasSuffix("id: c:6\ndata: {\"type\":\"finish\"}\n\n"))
            for number in 0...6 {
                let rest = try frames(journal, "c", after: number)
                #expect(all.hasSuffix(rest))
                #expect(rest.components(separatedBy: "id: ").count - 1 == 6 - number)
            }
            #expect(try frames(journal, "c", after: 99).isEmpty)
            #expect(try frames(journal, "c", after: .max).isEmpty)
        }
    }

    @Test
    func `an interrupted answer is ended at the next start, and a torn line is cut`() async throws {
        try await TemporaryDirectory.with { directory in
            var journal = try Journal(directory: directory.file("journal"))
            try write(journal, "old", deltas: 3).end(.finished)
            let old = try frames(journal, "old")
            let writer = try write(journal, "c", deltas: 2)
            let before = try frames(journal, "c")
            let path = try #require(journal.file("c")).path
            let handle = try #require(FileHandle(forWritingAtPath: path))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(#"{"type":"text-del"#.utf8))
            try handle.close()

            journal = try Journal(directory: directory.file("journal"))
            withExtendedLifetime(writer) {}
            #expect(try frames(journal, "old") == old)
            let after = try frames(journal, "c")
            #expect(after.hasPrefix(before))
            let chunks = try #require(journal.file("c")).contents().chunks
            #expect(chunks.suffix(2) == [.textEnd(id: "t"), .error(errorText: Journal.interruption)])
            #expect(journal.file("c")?.extent.isEnded == true)
            #expect(journal.file("c")?.extent.error == Journal.interruption)
            // And only once.
            journal = try Journal(directory: directory.file("journal"))
            #expect(try frames(journal, "c") == after)
        }
    }

    @Test
    func `a line that cannot be read spoils neither its answer's end nor the other answers`() async throws {
        try await TemporaryDirectory.with { directory in
            let path = directory.file("journal")
            do {
                let journal = try Journal(directory: path)
                try write(journal, "good", deltas: 1).end(.finished)
                _ = try write(journal, "bad", deltas: 1)
            }
            let name = try #require(try directory.contents("journal").first { $0.hasSuffix("-bad.jsonl") })
            let lines = try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
            try directory.write(lines + "{\"type\":\"unknown\"}\nno JSON\n", to: "journal/\(name)")
            try FileManager.default.createDirectory(atPath: "\(path)/1-odd.jsonl", withIntermediateDirectories: false)
            let journal = try Journal(directory: path)
            #expect(try frames(journal, "good").contains("finish"))
            let bad = try frames(journal, "bad")
            #expect(bad.contains("\"type\":\"text-end\""))
            #expect(bad.hasSuffix("\"}\n\n") && bad.contains(Journal.interruption))
            #expect(try directory.contents("journal").contains("1-odd.jsonl.damaged"))
        }
    }

    @Test
    func `a completion of which not even the question was written is unknown`() async throws {
        try await TemporaryDirectory.with { directory in
            var journal = try Journal(directory: directory.file("journal"))
            try Data("{\"mess".utf8).write(to: URL(filePath: directory.file("journal/000000000000001-c.jsonl")))
            journal = try Journal(directory: directory.file("journal"))
            #expect(journal.file("c") == nil)
        }
    }

    @Test
    func `only the newest are kept`() async throws {
        try await TemporaryDirectory.with { directory in
            var limits = Journal.Limits()
            limits.completions = 2
            let journal = try Journal(directory: directory.file("journal"), limits: limits)
            let running = try write(journal, "running", deltas: 1)
            for name in ["a", "b", "c"] { try write(journal, name, deltas: 1).end(.finished) }
            journal.removeOldest()
            #expect(journal.all.map(\.completion) == ["running", "b", "c"])
            limits.bytes = 1
            let reopened = try Journal(directory: directory.file("journal"), limits: limits)
            #expect(reopened.all.isEmpty)
            withExtendedLifetime(running) {}
        }
    }

    @Test(arguments: ["", ".", "../x", "a/b", "a b", String(repeating: "x", count: 129)])
    func `what cannot be part of a file's name is no id`(text: String) {
        #expect(!Journal.isValid(text))
    }

    @Test
    func `a hundred thousand chunks are read in whole blocks`() async throws {
        try await TemporaryDirectory.with { directory in
            let journal = try Journal(directory: directory.file("journal"))
            try write(journal, "c", deltas: 100_000).end(.finished)
            var reader = try JournalReader(try #require(journal.file("c")), after: 0)
            defer { reader.close() }
            var calls = 0
            var count = 0
            while true {
                let frames = try reader.next()
                if frames.isEmpty { break }
                calls += 1
                count += frames.split(separator: 0x0A).count / 2
            }
            #expect(count == 100_004)
            #expect(calls < 100)
        }
    }
}
