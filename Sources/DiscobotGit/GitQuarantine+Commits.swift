// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// Some commits of a line of development.
package struct GitCommitRange: Sendable, Equatable {
    /// The last one.
    package let head: String
    /// Oldest first.
    package let commits: [String]
    /// What the oldest is based on; nil for a first commit.
    package let base: String?
    /// Those with more than one parent.
    package let merges: [String]
}

extension GitQuarantine {
    /// The commits that lead to `head` beyond those in `excluded`; nil for none. Throws `.tooLarge`.
    package func commits(to head: String, beyond excluded: [String]) async throws -> GitCommitRange? {
        let output = try await command.run(
            ["rev-list", "--parents", "--topo-order", "--reverse", "--max-count=\(Limit.commits + 1)", head, "--not"]
                + excluded
        )
        let lines = output.text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        guard let oldest = lines.first else { return nil }
        guard lines.count <= Limit.commits else {
            throw GitError(.tooLarge, "the session has more than \(Limit.commits) commits")
        }
        try await checkSizes(head, excluded)
        try await checkChanges(head, excluded)
        return GitCommitRange(
            head: head,
            commits: lines.compactMap(\.first),
            base: oldest.dropFirst().first,
            merges: lines.filter { $0.count > 2 }.compactMap(\.first)
        )
    }

    /// Sizes are those that objects say of themselves; git has compared them with what they hold.
    private func checkSizes(_ head: String, _ excluded: [String]) async throws {
        let objects = try await command.run(
            ["rev-list", "--objects", "--no-object-names", head, "--not"] + excluded,
            timeout: .seconds(300)
        )
        let sizes = try await command.run(
            ["cat-file", "--batch-check=%(objectsize)"],
            input: objects.bytes,
            timeout: .seconds(300)
        ).text.split(separator: "\n").map { Int($0) ?? .max }
        guard sizes.count <= Limit.objects else {
            throw GitError(.tooLarge, "the session's commits have more than \(Limit.objects) objects")
        }
        guard sizes.allSatisfy({ $0 <= Limit.file }) else {
            throw GitError(.tooLarge, "a file of the session's commits has more than \(Limit.file >> 20) MiB")
        }
        guard sizes.reduce(0, +) <= Limit.total else {
            throw GitError(.tooLarge, "the session's commits have more than \(Limit.total >> 30) GiB of files")
        }
    }

    /// A tree that names another one many times has more files than objects, without end. What lists them must not
    /// take the machine's memory, and nothing else looks at them before.
    private func checkChanges(_ head: String, _ excluded: [String]) async throws {
        let nowhere = try Self.openNowhere()
        defer { try? nowhere.close() }
        let list = [
            "log", "-c", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=", "--no-show-signature", "--no-notes",
            "--no-ext-diff", "--ignore-submodules=none", head, "--not",
        ]
        _ = try await refusingTooLarge {
            try await command.limited(toMemory: Limit.listMemory).run(
                list + excluded,
                files: .init(output: nowhere),
                timeout: .seconds(300),
                outputLimit: Limit.changes
            )
        }
    }

    private static func openNowhere() throws(GitError) -> FileDescriptor {
        do {
            return try FileDescriptor.open("/dev/null", .writeOnly, options: .closeOnExec)
        } catch {
            throw GitError(.failed, "/dev/null cannot be opened: \(error)")
        }
    }

    /// Throws `.tooLarge` for a change that would fill a disk: a file may be there many times.
    package func checkChange(from old: String, to new: String) async throws {
        let list = ["diff-tree", "-r", "--no-renames", "--raw", "-z", "--no-abbrev", old, new]
        let output = try await refusingTooLarge {
            try await command.limited(toMemory: Limit.listMemory).run(
                list,
                timeout: .seconds(300),
                outputLimit: Limit.change
            )
        }
        var files: [ArraySlice<UInt8>: Int] = [:]
        for field in NULFields(output.bytes) where field.first == UInt8(ascii: ":") {
            let words = field.split(separator: UInt8(ascii: " "))
            // Submodules have no file, and what is gone has no object.
            guard words.count == 5, words[1] != Array("160000".utf8)[...], words[4].first != UInt8(ascii: "D") else {
                continue
            }
            files[words[3], default: 0] += 1
        }
        try await checkSpace(files)
    }

    /// - Parameter files: how often each object is there.
    private func checkSpace(_ files: [ArraySlice<UInt8>: Int]) async throws {
        guard !files.isEmpty else { return }
        let objects = Array(files)
        let sizes = try await command.run(
            ["cat-file", "--batch-check=%(objectsize)"],
            input: objects.flatMap { $0.key + [UInt8(ascii: "\n")] },
            timeout: .seconds(300)
        ).text.split(separator: "\n").map { Int($0) ?? Limit.total }
        var room = Limit.total
        for (object, size) in zip(objects, sizes) {
            let (space, isOver) = object.value.multipliedReportingOverflow(by: size)
            guard !isOver, space <= room else {
                throw GitError(.tooLarge, "the session's commits make more than \(Limit.total >> 30) GiB of files")
            }
            room -= space
        }
    }

    private func refusingTooLarge<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as GitError where error.code == .tooLarge {
            throw GitError(.tooLarge, "the session's commits change too many files")
        }
    }
}
