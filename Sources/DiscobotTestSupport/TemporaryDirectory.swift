// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A directory of a test's own, gone when the test ends.
package struct TemporaryDirectory: Sendable {
    package let path: String

    /// Runs `body` with a new empty directory, whose path has no symbolic links.
    package static func with<Value>(_ body: (TemporaryDirectory) async throws -> Value) async throws -> Value {
        let name = "discobot-test-" + UUID().uuidString.prefix(8).lowercased()
        let directory = TemporaryDirectory(path: "/tmp/\(name)")
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: false)
        defer { directory.clear() }
        return try await body(directory)
    }

    /// Sandboxes outlive their server, so those of a test that failed would outlive the test.
    private func clear() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for process in names.compactMap({ pid_t($0) }) where process != getpid() {
            let command = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
            if command.firstRange(of: Data("\(path)/".utf8)) != nil { kill(process, SIGKILL) }
        }
        try? FileManager.default.removeItem(atPath: path)
    }

    package func file(_ name: String) -> String { "\(path)/\(name)" }

    package func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

    package func contents(_ name: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: file(name)).sorted()
    }

    package func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: file(name)))
    }

    /// Creates a repository with one commit that has `README.md`; returns its path.
    package func makeRepository(_ name: String = "repository") async throws -> String {
        try await Shell.run(
            """
            git init -q -b main "$0" && cd "$0" && echo hello > README.md && git add . &&
            git -c user.name=Test -c user.email=test@localhost commit -q -m First
            """,
            file(name)
        )
        return file(name)
    }

    /// Creates a repository with this many commits on as many files; returns its path.
    package func makeLargeRepository(_ name: String, commits: Int) async throws -> String {
        try await Shell.run(
            #"""
            git init -q -b main "$0" && cd "$0" && awk -v n="$1" 'BEGIN {
                for (i = 1; i <= n; i++) {
                    text = "file " i " " rand() rand() rand() "\n"; message = "Commit " i
                    printf "commit refs/heads/main\ncommitter Test <test@localhost> %d +0000\ndata %d\n%s\n", \
                        1700000000 + i, length(message), message
                    printf "M 100644 inline directory%d/file%d.txt\ndata %d\n%s\n", i % 100, i, length(text), text
                }
            }' | git fast-import --quiet && git reset -q --hard
            """#,
            file(name),
            String(commits)
        )
        return file(name)
    }
}
