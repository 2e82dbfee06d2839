// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// A file that cannot be brought together by itself.
package struct GitConflict: Sendable, Equatable {
    package let path: String
    /// Such as "changed on both sides".
    package let reason: String
}

/// What became of moving commits onto another one.
package enum GitReplay: Sendable, Equatable {
    /// The last of the moved commits; the commit that they were moved to when they were all there already.
    case moved(String)
    /// The subject of the commit that does not fit, and where.
    case conflicts(subject: String, [GitConflict])
}

extension GitQuarantine {
    /// Puts commits on top of `target`, with their authors, messages and changes. Where they are based on it already
    /// they stay as they are; merge commits can only stay. Throws `.conflict` for others, and ``GitError``.
    package func replay(_ range: GitCommitRange, onto target: String) async throws -> GitReplay {
        if try await isBased(range, on: target) { return .moved(range.head) }
        if let merge = range.merges.first {
            throw GitError(
                .conflict,
                "the merge commit \(try await title(of: merge)) cannot be applied on top of other commits: "
                    + "rebase the session's commits without merges, or merge the workspace's newest commit"
            )
        }
        guard let base = range.base else {
            throw GitError(.conflict, "the session's commits have nothing in common with the workspace's")
        }
        _ = try await command.run(["update-ref", "--no-deref", "HEAD", target])
        _ = try await command.run(Self.sparse + ["read-tree", "-m", "-u", "HEAD"], timeout: .seconds(300))
        // Code 1 is also that of other failures.
        let output = try await command.run(
            Self.sparse + Self.rebase + ["--onto", target, base, range.head],
            timeout: .seconds(1_200),
            acceptedExitCodes: [0, 1]
        )
        guard output.exitCode == 0 else { return try await conflicts(output) }
        return .moved(try await command.run(["rev-parse", "--verify", "HEAD"]).line)
    }

    private static let sparse = ["-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false"]

    /// Renames of files are followed; those of directories are not guessed, as the wrong guess would be a conflict.
    private static let rebase = [
        "-c", "merge.directoryRenames=false", "-c", "rerere.enabled=false",
        "rebase", "--quiet", "--merge", "--no-autosquash", "--no-autostash", "--no-fork-point", "--empty=drop",
    ]

    /// Whether they, and nothing else, lead from `target` to their end.
    private func isBased(_ range: GitCommitRange, on target: String) async throws -> Bool {
        guard !range.merges.isEmpty else { return range.base == target }
        let isAncestor = try await command.run(
            ["merge-base", "--is-ancestor", target, range.head],
            acceptedExitCodes: [0, 1]
        )
        guard isAncestor.exitCode == 0 else { return false }
        let count = try await command.run(["rev-list", "--count", range.head, "--not", target]).line
        return count == String(range.commits.count)
    }

    private func title(of commit: String) async throws -> String {
        let subject = try await command.run(["log", "-1", "--format=%h \"%s\"", "--encoding=UTF-8", commit, "--"]).line
        return String(subject.prefix(200))
    }

    private func conflicts(_ output: GitOutput) async throws -> GitReplay {
        let records = NULFields(try await command.run(["ls-files", "--unmerged", "-z"]).bytes)
        var stages: [(path: String, stages: Set<UInt8>)] = []
        for record in records {
            guard let tab = record.firstIndex(of: UInt8(ascii: "\t")), let stage = record[..<tab].last else { continue }
            let path = record[(tab + 1)...].text
            if stages.last?.path == path {
                stages[stages.count - 1].stages.insert(stage)
            } else {
                stages.append((path, [stage]))
            }
        }
        guard !stages.isEmpty else { throw GitError(.failed, "git rebase failed: \(output.errorText)") }
        let stopped = try await command.run(
            ["log", "-1", "--format=%s", "--encoding=UTF-8", "REBASE_HEAD", "--"],
            acceptedExitCodes: [0, 128]
        )
        return .conflicts(
            subject: String(stopped.line.prefix(200)),
            stages.map { GitConflict(path: $0.path, stages: $0.stages) }
        )
    }
}

extension GitConflict {
    /// Stage 2 is the workspace's side, 3 the session's.
    fileprivate init(path: String, stages: Set<UInt8>) {
        let (base, ours, theirs) = (UInt8(ascii: "1"), UInt8(ascii: "2"), UInt8(ascii: "3"))
        let reason =
            switch (stages.contains(base), stages.contains(ours), stages.contains(theirs)) {
            case (true, true, true): "changed on both sides"
            case (false, true, true): "added on both sides"
            case (true, true, false): "changed in the workspace, removed in the session"
            case (true, false, true): "removed in the workspace, changed in the session"
            default: "moved or replaced on one side"
            }
        self.init(path: path, reason: reason)
    }
}
