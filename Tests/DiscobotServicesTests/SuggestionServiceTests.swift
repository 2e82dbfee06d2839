// SPDX-License-Identifier: Apache-2.0

import DiscobotTestSupport
import Foundation
import Testing

@testable import DiscobotServices

struct SuggestionServiceTests {
    private func withHome(_ body: (TemporaryDirectory, SuggestionService) async throws -> Void) async throws {
        try await TemporaryDirectory.with { home in
            for name in ["alpha", "alps", "beta", ".hidden", "alpha/.git"] {
                try FileManager.default.createDirectory(atPath: home.file(name), withIntermediateDirectories: true)
            }
            try home.write("x", to: "alfalfa.txt")
            try await body(home, SuggestionService(isEnabled: true, home: home.path))
        }
    }

    @Test
    func `lists the directories below a directory, and says which are repositories`() async throws {
        try await withHome { home, service in
            let found = service.paths(for: home.path)
            #expect(found.map(\.path) == ["alpha", "alps", "beta"].map(home.file))
            #expect(found.map(\.isRepository) == [true, false, false])
        }
    }

    @Test
    func `completes what is typed, and keeps the short form of the home directory`() async throws {
        try await withHome { home, service in
            #expect(service.paths(for: home.file("al")).map(\.path) == ["alpha", "alps"].map(home.file))
            #expect(service.paths(for: "~/al").map(\.path) == ["~/alpha", "~/alps"])
            #expect(service.paths(for: "~/.h").map(\.path) == ["~/.hidden"])
            #expect(service.paths(for: "~/.").map(\.path) == ["~/.hidden"])
        }
    }

    @Test
    func `never answers with more than ten`() async throws {
        try await withHome { home, service in
            for index in 0..<30 {
                try FileManager.default.createDirectory(
                    atPath: home.file("many-\(index)"),
                    withIntermediateDirectories: false
                )
            }
            #expect(service.paths(for: home.file("many")).count == 10)
        }
    }

    @Test(arguments: ["", "relative", "/not/there", "~someone/x"])
    func `knows nothing of other texts`(typed: String) async throws {
        try await withHome { _, service in #expect(service.paths(for: typed).isEmpty) }
    }

    @Test
    func `tells nothing when switched off`() {
        #expect(SuggestionService(isEnabled: false, home: "/").paths(for: "/").isEmpty)
    }
}
