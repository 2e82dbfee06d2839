// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// The files of a runtime's working copy.
@Suite(.timeLimit(.minutes(5)))
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
