// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import FoundationEssentials
import Glibc
import SystemPackage

/// Makes a working copy that shares the objects of the workspace's repository, so that it costs the checkout only.
///
/// What `git clone --shared` would write is written here, by gitrepository-layout(5): that runs four processes, one after
/// another, and somebody waits. The copy is made beside its place and renamed at the end: the place holds a whole working
/// copy or none.
struct WorkingCopyPreparation {
    let source: WorkspaceSource
    let directory: String
    let git: AgentGit

    private static let stagingSuffix = ".preparing"

    /// Removes what a runtime that was killed has left.
    func removeStaging() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: parent) where name.hasSuffix(Self.stagingSuffix)
        {
            try FileManager.default.removeItem(atPath: "\(parent)/\(name)")
        }
    }

    /// Throws `GitError`, whose message may be shown.
    func run() async throws {
        let staging = "\(parent)/.workspace.\(UUID().uuidString)\(Self.stagingSuffix)"
        defer { try? FileManager.default.removeItem(atPath: staging) }
        guard FileManager.default.fileExists(atPath: source.path) else {
            throw GitError(.notFound, "the workspace's repository is not there: \(source.path)")
        }
        async let references = references()
        let state = try await sourceState()
        try makeRepository(staging + "/.git", state, try await references)
        if let commit = state.commit { try await checkOut(commit, state, in: staging) }
        guard rename(staging, directory) == 0 else {
            throw GitError(.failed, "the working copy could not be moved to its place: \(Errno(rawValue: errno))")
        }
    }

    private var parent: String { FilePath(directory).removingLastComponent().string }

    private struct SourceState {
        /// The commit to start at; nil for a repository without any.
        let commit: String?
        let head: String?
        /// The branch that the workspace is on.
        let branch: String?
    }

    private func sourceState() async throws -> SourceState {
        if let state = try await usualState() { return state }
        let head = try await text(["rev-parse", "-q", "--verify", "HEAD^{commit}"])
        let branch = try await text(["symbolic-ref", "-q", "--short", "HEAD"])
        guard let wanted = source.commit else { return SourceState(commit: head, head: head, branch: branch) }
        guard let commit = try await text(["rev-parse", "-q", "--verify", "\(wanted)^{commit}"]) else {
            throw GitError(.notFound, "commit \(wanted) is not in the workspace's repository any more")
        }
        return SourceState(commit: commit, head: head, branch: branch)
    }

    /// What one process can tell when the wanted commit and HEAD are there.
    private func usualState() async throws -> SourceState? {
        let questions = ["\(source.commit ?? "HEAD")^{commit}", "HEAD^{commit}", "--symbolic-full-name", "HEAD"]
        let output = try await git.run(["rev-parse"] + questions, in: source.path, acceptedExitCodes: [0, 128])
        let answers = output.text.split(whereSeparator: \.isNewline).map(String.init)
        let branches = "refs/heads/"
        guard output.exitCode == 0, answers.count == 3, answers[2].hasPrefix(branches) else { return nil }
        return SourceState(commit: answers[0], head: answers[1], branch: String(answers[2].dropFirst(branches.count)))
    }

    /// The workspace's branches and tags, each with what it is at.
    private func references() async throws -> [(name: String, object: String)] {
        let arguments = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"]
        // Why it is no repository, the other questions tell.
        let output = try await git.run(arguments, in: source.path, acceptedExitCodes: [0, 128])
        return output.text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            return parts.count == 2 ? (parts[1], parts[0]) : nil
        }
    }

    /// The answer of a question to the workspace's repository; nil for none.
    private func text(_ arguments: [String]) async throws -> String? {
        let output = try await git.run(arguments, in: source.path, acceptedExitCodes: [0, 1, 128])
        if output.exitCode == 128 {
            // Tells why.
            try await git.run(["rev-parse", "--git-dir"], in: source.path)
            return nil
        }
        let line = output.text.split(whereSeparator: \.isNewline).first.map(String.init)
        return output.exitCode == 0 ? line : nil
    }

    /// Makes a repository with the objects of the workspace's, its branches as those of `origin`, its tags, and its own
    /// branch.
    private func makeRepository(
        _ repository: String,
        _ state: SourceState,
        _ references: [(name: String, object: String)]
    ) throws {
        let isBare = !FileManager.default.fileExists(atPath: source.path + "/.git")
        let workspace = source.path + (isBare ? "" : "/.git")
        var files = [
            "objects/info/alternates": workspace + "/objects\n", "config": configuration(state),
            "packed-refs": Self.packed(references, state), "HEAD": "ref: refs/heads/\(state.branch ?? "main")\n",
        ]
        if let branch = state.branch {
            files["refs/remotes/origin/HEAD"] = "ref: refs/remotes/origin/\(branch)\n"
        }
        // Where the history of the workspace ends, because it has only a part.
        files["shallow"] = try? String(contentsOfFile: workspace + "/shallow", encoding: .utf8)
        for directory in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "refs/remotes/origin"] {
            try FileManager.default.createDirectory(
                atPath: "\(repository)/\(directory)",
                withIntermediateDirectories: true
            )
        }
        for (name, text) in files {
            try text.write(toFile: "\(repository)/\(name)", atomically: false, encoding: .utf8)
        }
    }

    private static func packed(_ references: [(name: String, object: String)], _ state: SourceState) -> String {
        let branches = "refs/heads/"
        var lines = references.map { name, object in
            let isBranch = name.hasPrefix(branches)
            return "\(object) " + (isBranch ? "refs/remotes/origin/" + name.dropFirst(branches.count) : name)
        }
        if let branch = state.branch, let head = state.head { lines.append("\(head) \(branches)\(branch)") }
        return lines.map { $0 + "\n" }.joined()
    }

    private func configuration(_ state: SourceState) -> String {
        // Names of objects are longer with the newer hash.
        let isSHA256 = state.commit?.utf8.count == 64
        var text = """
            [core]
            \trepositoryformatversion = \(isSHA256 ? 1 : 0)
            \tfilemode = true
            \tbare = false
            \tlogallrefupdates = true
            [remote "origin"]
            \turl = \(Self.quoted(source.origin ?? source.path))
            \tfetch = +refs/heads/*:refs/remotes/origin/*

            """
        if let branch = state.branch {
            let merge = Self.quoted("refs/heads/" + branch)
            text += "[branch \(Self.quoted(branch))]\n\tremote = origin\n\tmerge = \(merge)\n"
        }
        if isSHA256 { text += "[extensions]\n\tobjectFormat = sha256\n" }
        return text
    }

    private static func quoted(_ text: String) -> String {
        let escaped = [("\\", "\\\\"), ("\"", "\\\""), ("\n", "\\n")].reduce(text) { $0.replacing($1.0, with: $1.1) }
        return "\"\(escaped)\""
    }

    private func checkOut(_ commit: String, _ state: SourceState, in staging: String) async throws {
        // HEAD may be detached, or the commit on no branch: then a shared repository has it all the same.
        let branch = (commit == state.head ? state.branch : nil) ?? "discobot/\(source.sessionID)"
        try await git.run(["checkout", "-q", "-f", "-B", branch, commit], in: staging, timeout: .seconds(1_800))
    }
}
