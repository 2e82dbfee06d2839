// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// The files of a runtime's working copy.
@Suite(.timeLimit(.minutes(10)))
struct AgentFilesTests {
    private func refusal(_ body: () async throws -> Void) async -> AgentError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? AgentError)?.code
        }
    }

    private func request(_ path: String?, _ content: String?, _ encoding: FileEncoding? = nil) -> WriteFileRequest {
        WriteFileRequest(path: path, content: content, encoding: encoding)
    }

    @Test
    func `files are listed, read, written, renamed and removed`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let client = runtime.client
            #expect(try await client.files(in: ".", includingHidden: true).entries.map(\.name) == ["file"])
            let read = try await client.readFile("file")
            #expect(read.content == "one\n")
            #expect(read.size == 4)
            let binary = Data([0, 255, 1]).base64EncodedString()
            let written = try await client.writeFile(request("a/ö b&?.bin", binary, .base64), conditions: [])
            #expect(written.size == 3)
            let back = try await client.readFile("a/ö b&?.bin")
            #expect(back.encoding == .base64)
            #expect(back.content == binary)
            #expect(back.etag == written.etag)
            _ = try await client.renameFile(RenameFileRequest(oldPath: "a", newPath: "b/c"))
            #expect(try await client.files(in: "b/c", includingHidden: false).entries.map(\.size) == [3])
            #expect(try await client.removeFile(RemoveFileRequest(path: "b")).type == "directory")
            #expect(await refusal { _ = try await client.readFile("b/c/x") } == .refused(status: 404))
        }
    }

    @Test
    func `whoever writes can say what the file must be`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let client = runtime.client
            let first = try await client.readFile("file").etag.tag
            let second = try await client.writeFile(request("file", "two"), conditions: [("If-Match", first)])
            let old = await refusal {
                _ = try await client.writeFile(request("file", "three"), conditions: [("If-Match", first)])
            }
            #expect(old == .refused(status: 412))
            #expect(try await client.readFile("file").content == "two")
            let any = "\"x\", \(second.etag.tag)"
            _ = try await client.writeFile(request("file", "four"), conditions: [("If-Match", any)])
            let exists = await refusal {
                _ = try await client.writeFile(request("file", "five"), conditions: [("If-None-Match", "*")])
            }
            #expect(exists == .refused(status: 412))
            let missing = await refusal {
                _ = try await client.writeFile(request("new", "x"), conditions: [("If-Match", "*")])
            }
            #expect(missing == .refused(status: 412))
            _ = try await client.writeFile(request("new", "x"), conditions: [("If-None-Match", "*")])
            let odd = await refusal {
                _ = try await client.writeFile(request("new", "x"), conditions: [("If-None-Match", "\"x\"")])
            }
            #expect(odd == .refused(status: 400))
        }
    }

    @Test
    func `whoever removes or renames can say what the file must be`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let client = runtime.client
            let old = try await client.readFile("file").etag.tag
            let tag = try await client.writeFile(request("file", "two"), conditions: []).etag.tag
            let (removal, move) = (
                RemoveFileRequest(path: "file"), RenameFileRequest(oldPath: "file", newPath: "d/new")
            )
            for conditions in [[("If-Match", old)], [("If-None-Match", "*")]] as [AgentClient.Conditions] {
                let removed = await refusal { _ = try await client.removeFile(removal, conditions: conditions) }
                let moved = await refusal { _ = try await client.renameFile(move, conditions: conditions) }
                #expect(removed == .refused(status: 412) && moved == .refused(status: 412))
            }
            #expect(try await client.readFile("file").content == "two")
            _ = try await client.renameFile(move, conditions: [("If-Match", tag)])
            let directory = RemoveFileRequest(path: "d")
            let tagged = await refusal { _ = try await client.removeFile(directory, conditions: [("If-Match", tag)]) }
            #expect(tagged == .refused(status: 412))
            let file = RemoveFileRequest(path: "d/new")
            #expect(try await client.removeFile(file, conditions: [("If-Match", tag)]).type == "file")
            #expect(try await client.removeFile(directory, conditions: [("If-Match", "*")]).type == "directory")
            let gone = await refusal { _ = try await client.removeFile(directory, conditions: [("If-Match", "*")]) }
            #expect(gone == .refused(status: 412))
        }
    }

    @Test(arguments: ["\u{1B}", "/", "\"", "\u{1B}[1m log line of a build\n", "ö"])
    func `as much of any text as a file may have is written and read`(text: String) async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let limit = 10 << 20
            let content = String(repeating: text, count: limit / text.utf8.count)
            let written = try await runtime.client.writeFile(request("large", content), conditions: [])
            #expect(written.size == content.utf8.count)
            let read = try await runtime.client.readFile("large")
            #expect(read.etag == written.etag)
            #expect(try read.encoding.decode(read.content) == Array(content.utf8))
        }
    }

    @Test
    func `a runtime that is killed while it writes leaves nothing in the working copy, nor beside it`() async throws {
        try await TemporaryDirectory.with { directory in
            try await AgentRuntimeProcess.makeSource(in: directory)
            let isAtWork = {
                try directory.contents("data/agent").contains { $0.hasPrefix(".discobot-") }
            }
            let runtime = try await AgentRuntimeProcess(in: directory)
            let body = request("large", String(repeating: "x", count: 10 << 20))
            let writing = Task {
                while !Task.isCancelled { _ = try await runtime.client.writeFile(body, conditions: []) }
            }
            try await eventually(isAtWork)
            runtime.kill()
            writing.cancel()
            _ = await writing.result
            let names = try directory.contents("data/workspace")
            #expect(Set(names).isSubset(of: [".git", "file", "large"]))
            try directory.write("half", to: "data/agent/.discobot-left.tmp")
            let next = try await AgentRuntimeProcess(in: directory)
            defer { next.kill() }
            #expect(try !isAtWork())
            #expect(try await next.client.readFile("file").content == "one\n")
        }
    }

    @Test
    func `of many writers that expect the same content one wins`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let client = runtime.client
            let tag = try await client.readFile("file").etag.tag
            let winners = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        do {
                            _ = try await client.writeFile(
                                WriteFileRequest(path: "file", content: "\(number)", encoding: nil),
                                conditions: [("If-Match", tag)]
                            )
                            return "\(number)"
                        } catch let error as AgentError where error.code == .refused(status: 412) {
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: [String]()) { $0 += [$1].compactMap(\.self) }
            }
            #expect(winners.count == 1)
            #expect(try await client.readFile("file").content == winners.first)
        }
    }

    @Test
    func `wrong requests are refused with a reason`() async throws {
        try await AgentRuntimeProcess.with { (runtime, _) async throws in
            let client = runtime.client
            let large = String(repeating: "x", count: (10 << 20) + 1)
            for (body, status) in [
                (request(nil, "x"), 400), (request("x", nil), 400), (request("x", "?", .base64), 400),
                (request("../x", "x"), 400), (request(".git/config", "x"), 400), (request("large", large), 413),
                (request("file/x", "x"), 404),
            ] {
                let code = await refusal { _ = try await client.writeFile(body, conditions: []) }
                #expect(code == .refused(status: status), "\(body.path ?? "-")")
            }
            #expect(await refusal { _ = try await client.readFile("") } == .refused(status: 400))
            #expect(await refusal { _ = try await client.readFile("no") } == .refused(status: 404))
            #expect(
                await refusal { _ = try await client.files(in: "no", includingHidden: false) } == .refused(status: 404)
            )
            #expect(
                await refusal { _ = try await client.files(in: "file", includingHidden: false) }
                    == .refused(status: 400)
            )
            let move = RenameFileRequest(oldPath: "file", newPath: nil)
            #expect(await refusal { _ = try await client.renameFile(move) } == .refused(status: 400))
        }
    }
}
