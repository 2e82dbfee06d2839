// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// Searching the names of a runtime's files.
@Suite(.timeLimit(.minutes(10)))
struct AgentSearchTests {
    @Test
    func `files that are new, tracked or gone are known at once in a usual working copy`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            let search = { (query: String) async throws -> [String] in
                try await runtime.client.searchFiles(query, limit: 10).results.map(\.path)
            }
            #expect(try await search("fil") == ["file"])
            #expect(try await runtime.client.searchFiles("fil", limit: 10).query == "fil")
            _ = try await Shell.run(
                "cd \"$0\"; mkdir -p deep/er; echo x > deep/er/NewFile.txt; echo ignored > .gitignore; : > ignored",
                directory.file("data/workspace")
            )
            // A list is used again for a moment.
            while try await !search("newf").contains("deep/er/NewFile.txt") {}
            #expect(try await search("ignored") == [])
            #expect(try await search("deep").first == "deep")
            #expect(try await search("") == [])
            _ = try await Shell.run("rm -r \"$0/deep\"", directory.file("data/workspace"))
            while try await search("newf") != [] {}
            _ = try await Shell.run("rm \"$0/file\"", directory.file("data/workspace"))
            while try await search("file") != [] {}
        }
    }

    @Test
    func `many searches at once are answered`() async throws {
        try await AgentRuntimeProcess.with { (runtime, directory) async throws in
            _ = try await Shell.run(
                "cd \"$0\"; for d in $(seq 50); do mkdir d$d; (cd d$d; touch $(seq -f 'some-file-%g.swift' 200)); done",
                directory.file("data/workspace")
            )
            while try await runtime.client.searchFiles("d50 some200", limit: 1).results.isEmpty {}
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<40 {
                    group.addTask { try await runtime.client.searchFiles("sofi\(number)", limit: 200).results.count }
                }
                for try await count in group { #expect((50...200).contains(count)) }
            }
        }
    }
}
