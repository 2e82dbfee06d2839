// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// Follows what happens to the containers of one server, through restarts and absences of the engine.
final class DockerWatch: Sendable {
    /// Before asking an engine again that does not answer.
    private static let pause: Duration = .seconds(1)

    private let client: DockerClient
    private let feed: SandboxChangeFeed
    let presence = DockerPresence()
    /// The server's id, once there is something to watch.
    private let servers: AsyncStream<String>
    private let begins: AsyncStream<String>.Continuation

    init(client: DockerClient, feed: SandboxChangeFeed) {
        self.client = client
        self.feed = feed
        (servers, begins) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// Has `run` begin; nothing happens when it has begun already.
    func begin(server: String) { begins.yield(server) }

    /// Tells the feed, from `begin` on, until it is cancelled.
    func run() async {
        for await server in servers {
            return await DockerFollowing(client: client, feed: feed, presence: presence, server: server).run()
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
