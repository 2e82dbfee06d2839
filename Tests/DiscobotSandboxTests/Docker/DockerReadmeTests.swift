// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import DiscobotSandbox
import DiscobotTestSupport
import Foundation
import Testing

/// What the README tells of containers is what the engine tells.
@Suite(.timeLimit(.minutes(10)))
struct DockerReadmeTests {
    /// A line of the README's table.
    private struct Row {
        let settings: [String]
        /// JSON, where the value is just that.
        let value: String?
    }

    private static var rows: [Row] {
        get throws {
            let readme = URL(filePath: #filePath).appending(path: "../../../../README.md").standardized
            let lines = try String(contentsOf: readme, encoding: .utf8).components(separatedBy: "\n")
            let start = try #require(lines.firstIndex { $0.hasPrefix("`docker inspect discobot-session-") })
            return lines[start...].dropFirst(4).prefix { $0.hasPrefix("|") }.map { line in
                let cells = line.split(separator: " | ")
                let quoted = cells[1].split(separator: "`", omittingEmptySubsequences: false)
                let isJSON = quoted.first == "" && quoted.count == 3 && quoted.last == ""
                return Row(
                    settings: cells[0].split(separator: "`").enumerated().filter { $0.offset % 2 == 1 }.map {
                        String($0.element)
                    },
                    value: isJSON ? String(quoted[1]) : nil
                )
            }
        }
    }

    /// The settings of a container as JSON, by name.
    private func settings(_ container: String, _ engine: DockerEngine) async throws -> [String: String] {
        let text = try await engine.docker("inspect", container)
        let list = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
        let whole = try #require(list?.first)
        let parts = ["Config", "HostConfig"].compactMap { whole[$0] as? [String: Any] }
        return try parts.reduce(into: [:]) { settings, part in
            for (name, value) in part { settings[name] = try Self.text(value) }
        }
    }

    private static func text(_ value: Any) throws -> String {
        let options: JSONSerialization.WritingOptions = [.fragmentsAllowed, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try JSONSerialization.data(withJSONObject: value, options: options), as: UTF8.self)
    }

    private static func isEmpty(_ value: String?) -> Bool { [nil, "null", "[]", "{}", "\"\""].contains(value) }

    @Test func `the table of settings has the values that the engine tells, and all that differ from the usual`()
        async throws
    {
        try await DockerFixture.with { fixture in
            var limits = SandboxSpecification.Limits(memoryMegabytes: 128, processes: 100, fileMegabytes: 10)
            limits.cpus = 1
            let id = try await fixture.run(limits: limits)
            let sandbox = try await settings(DockerFixture.container(id), fixture.engine)
            let bare = "bare-" + UUID().uuidString.lowercased()
            try await fixture.engine.docker("create", "--name", bare, DockerEngine.image, "true")
            let usual = try await settings(bare, fixture.engine)
            try await fixture.engine.docker("rm", bare)
            let rows = try Self.rows
            #expect(rows.count > 20)
            for row in rows {
                // Engines leave that out where it is not set.
                for name in row.settings { #expect(sandbox[name] != nil || name == "StorageOpt", "\(name)") }
                guard let value = row.value else { continue }
                let told = try Self.text(
                    JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
                )
                for name in row.settings { #expect(sandbox[name] == told, "\(name)") }
            }
            // What the command line of `docker create` asks for besides, and the image's name.
            let others: Set = ["AttachStderr", "AttachStdout", "Image"]
            let differing = sandbox.keys.filter { name in
                sandbox[name] != usual[name] && !(Self.isEmpty(sandbox[name]) && Self.isEmpty(usual[name]))
            }
            #expect(Set(differing).subtracting(rows.flatMap(\.settings)).subtracting(others) == [])
        }
    }
}
