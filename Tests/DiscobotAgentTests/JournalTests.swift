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

    private func chunks(_ journal: Journal, _ completion: String) throws -> [Chunk] {
        var lines: [Data] = []
        try #require(journal.file(completion)).forEachLine { line in
            lines.append(Data(line))
            return true
        }
        return try lines.dropFirst().map { try JSONDecoder().decode(Chunk.self, from: $0) }
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
            let chunks = try chunks(journal, "c")
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
            // The newest is what somebody may be about to read.
            #expect(reopened.all.map(\.completion) == ["c"])
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

    @Test
    func `an answer that grows too large is ended in order`() async throws {
        try await TemporaryDirectory.with { directory in
            var limits = Journal.Limits()
            limits.turn = 2_000
            let journal = try Journal(directory: directory.file("journal"), limits: limits)
            let writer = try write(journal, "c", deltas: 1)
            let error = #expect(throws: DriverError.self) {
                while true { try writer.append(.textDelta(id: "t", delta: String(repeating: "x", count: 100))) }
            }
            let message = try #require(error).message
            #expect(message == "the answer was ended: it has reached 2000 bytes, the most that is kept of one")
            // A driver that does not mind gets no further.
            #expect(throws: DriverError.self) { try writer.append(.textDelta(id: "t", delta: "x")) }
            writer.end(.failed(message: message))
            #expect(try chunks(journal, "c").suffix(2) == [.textEnd(id: "t"), .error(errorText: message)])
            #expect(try #require(journal.file("c")).extent.bytes < 2_400)
            let reopened = try Journal(directory: directory.file("journal"), limits: limits)
            let (before, after) = (try chunks(journal, "c"), try chunks(reopened, "c"))
            #expect(before == after)
        }
    }

    @Test
    func `the history leaves out the oldest, and cuts only the newest`() async throws {
        try await TemporaryDirectory.with { directory in
            var limits = Journal.Limits()
            func texts() throws -> [String] {
                try Journal(directory: directory.file("journal"), limits: limits).messages().map(\.text)
            }
            let journal = try Journal(directory: directory.file("journal"))
            for name in ["a", "b"] { try write(journal, name, deltas: 3).end(.finished) }
            let large = try write(journal, "large", deltas: 0)
            for _ in 0..<1_000 { try large.append(.textDelta(id: "t", delta: String(repeating: "x", count: 1_000))) }
            large.end(.finished)
            try write(journal, "c", deltas: 3).end(.finished)
            let small = ["hello", "0\n1\n2\n"]
            #expect(try texts() == small + small + ["hello", String(repeating: "x", count: 1_000_000)] + small)
            limits.history = 100_000
            #expect(try texts() == small)
            for name in ["c", "b", "a"] {
                try FileManager.default.removeItem(atPath: #require(journal.file(name)).path)
            }
            let cut = try texts()
            #expect(cut.first == "hello" && cut.count == 2)
            let length = try #require(cut.last).utf8.count
            #expect(length > 90_000 && length <= 100_000)
        }
    }

    @Test
    func `a line longer than the blocks of the file is read whole`() async throws {
        try await TemporaryDirectory.with { directory in
            let journal = try Journal(directory: directory.file("journal"))
            let long = String(repeating: "y", count: 700_000)
            let writer = try write(journal, "c", deltas: 1)
            try writer.append(.textDelta(id: "t", delta: long))
            try writer.append(.textDelta(id: "t", delta: "z"))
            writer.end(.finished)
            #expect(try journal.messages().last?.text == "0\n\(long)z")
        }
    }
}
