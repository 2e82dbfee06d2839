// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization

/// Follows what happens to the containers of one server, through restarts and absences of the engine.
final class DockerWatch: Sendable {
    /// Before asking an engine again that does not answer.
    private static let pause: Duration = .seconds(1)

    private let client: DockerClient
    private let feed: SandboxChangeFeed
    let presence = DockerPresence()
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(client: DockerClient, feed: SandboxChangeFeed) {
        self.client = client
        self.feed = feed
    }

    deinit {
        task.withLock { $0?.cancel() }
    }

    /// Begins to tell the feed; nothing happens when it has begun already. Goes on until this watch is gone.
    func begin(server: String) {
        task.withLock { [client, feed, presence] task in
            guard task == nil else { return }
            let following = DockerFollowing(client: client, feed: feed, presence: presence, server: server)
            // As long as the provider lives, whoever reads; it does not hold this watch.
            task = Task { await following.run() }
        }
    }

    /// The state of one watch.
    private actor DockerFollowing {
        private let client: DockerClient
        private let feed: SandboxChangeFeed
        private let presence: DockerPresence
        private let label: String
        /// Of the last event, which will not be told again in full: the engine remembers only so many.
        private var last: DockerMoment
        /// The sandboxes that may have gone while nobody told.
        private var known: Set<ID<Session>> = []
        private var hasBegun = false

        init(client: DockerClient, feed: SandboxChangeFeed, presence: DockerPresence, server: String) {
            self.client = client
            self.feed = feed
            self.presence = presence
            label = DockerLabel.of(server)
            last = DockerMoment(nanoseconds: Timestamp.now.milliseconds * 1_000_000)
        }

        func run() async {
            while !Task.isCancelled {
                await follow()
                try? await Task.sleep(for: DockerWatch.pause)
            }
        }

        /// Until the engine ends that, or is gone.
        private func follow() async {
            hasBegun = false
            do {
                try await client.events(label: label, since: last) {
                    try await self.compare()
                } handle: { event in
                    await self.note(event)
                }
            } catch let error as DockerError where !hasBegun {
                presence.publish(.absent(error.sandboxError))
            } catch {
                // It may be there again at once.
            }
        }

        /// Tells of all sandboxes: those that the engine has, and those that it had.
        private func compare() async throws {
            let containers = try await client.containers(labels: [label])
            let present = Set(
                containers.compactMap { $0.labels?[DockerLabel.session].map { ID<Session>(rawValue: $0) } }
            )
            for id in known.union(present) { feed.publish(id) }
            known = present
            hasBegun = true
            presence.publish(.answers)
        }

        private func note(_ event: DockerEvent) {
            if let nanoseconds = event.nanoseconds { last = DockerMoment(nanoseconds: nanoseconds) }
            guard let session = event.label(DockerLabel.session) else { return }
            known.insert(ID(rawValue: session))
            feed.publish(ID(rawValue: session))
        }
    }
}
