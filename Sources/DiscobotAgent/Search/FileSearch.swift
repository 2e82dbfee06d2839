// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotGit
import DiscobotModel

/// Searches the names of the working copy's files, without those that git ignores.
///
/// The names are listed anew with each search, but a search waits for that only a moment, and not at all where it took
/// longer just before: in a large working copy it answers from the list before, and the next one has what is new. A list
/// that is old is not answered from.
actor FileSearch {
    private struct Listed {
        let index: FileIndex
        /// When git was asked, and how long all of it took.
        let time: ContinuousClock.Instant
        let duration: Duration

        var age: Duration { time.duration(to: .now) }
        /// Whether the next list may wait: it would be the same, or lists would take more than half of the time.
        var isFresh: Bool { age < min(max(FileSearch.freshness, duration * 2), FileSearch.maximumAge) }
        /// Whether it is likely that the next one takes too long, too, and this one is nearly as good.
        var isGoodEnough: Bool { duration > FileSearch.patience && age < FileSearch.recency }
    }

    private static let patience: Duration = .milliseconds(25)
    /// A list that was asked for so shortly after another is the same.
    private static let freshness: Duration = .milliseconds(250)
    /// How old a list may be for a search not to wait for the next one.
    private static let recency: Duration = .seconds(2)
    /// How old a list may be to be answered from.
    private static let maximumAge: Duration = .seconds(60)
    /// After so long without a search the list is given up.
    private static let idleTime: Duration = .seconds(600)
    static let maximumResults = 200

    private let directories: DataDirectories
    private let workingCopy: WorkingCopy
    private let git: AgentGit
    private var listed: Listed?
    private var listing: Task<Listed, any Error>?
    private var waiters: [AsyncStream<Void>.Continuation] = []
    private var forgetting: Task<Void, Never>?

    init(directories: DataDirectories, workingCopy: WorkingCopy, git: AgentGit) {
        self.directories = directories
        self.workingCopy = workingCopy
        self.git = git
    }

    /// The best results first. Throws `unavailable` without a working copy, and what git says.
    nonisolated func search(_ query: String, limit: Int) async throws -> FileSearchResponse {
        try workingCopy.requireReady()
        let pattern = FuzzyPattern(query)
        guard !pattern.isEmpty else { return FileSearchResponse(query: query, results: []) }
        let index = try await index()
        return FileSearchResponse(query: query, results: index.search(pattern, limit: min(limit, Self.maximumResults)))
    }

    private func index() async throws -> FileIndex {
        forgetLater()
        if let listed, listed.isFresh { return listed.index }
        let listing = beginListing()
        guard let listed, listed.age < Self.maximumAge else { return try await listing.value.index }
        if listed.isGoodEnough { return listed.index }
        await waitForListing()
        return self.listed?.index ?? listed.index
    }

    private func beginListing() -> Task<Listed, any Error> {
        if let listing { return listing }
        // Goes on for the next search when this one does not wait for it.
        let task = Task { () async throws -> Listed in
            defer { endListing() }
            let new = try await list()
            listed = new
            return new
        }
        listing = task
        return task
    }

    /// Elsewhere, as making the index takes a while in which others search.
    @concurrent
    private nonisolated func list() async throws -> Listed {
        let time = ContinuousClock.now
        return try await translatingGitErrors {
            async let deleted = names(["--deleted"])
            let all = try await names(["--cached", "--others", "--exclude-standard"])
            let index = FileIndex(all, without: try await deleted)
            return Listed(index: index, time: time, duration: time.duration(to: .now))
        }
    }

    private nonisolated func names(_ options: [String]) async throws -> [UInt8] {
        try await git.command(in: directories.workspace).run(
            ["ls-files", "-z"] + options,
            files: .init(isOutputCut: true),
            timeout: .seconds(60),
            outputLimit: 128 << 20
        ).bytes
    }

    /// Waits for the end of the listing, but not for long: a task's value alone would be waited for to the end.
    private func waitForListing() async {
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        waiters.append(end)
        await ends.end(within: Self.patience)
    }

    private func endListing() {
        listing = nil
        for waiter in waiters { waiter.finish() }
        waiters = []
    }

    private func forgetLater() {
        forgetting?.cancel()
        // Lives as long as nobody searches.
        forgetting = Task {
            do { try await Task.sleep(upTo: Self.idleTime) } catch { return }
            listed = nil
        }
    }
}
