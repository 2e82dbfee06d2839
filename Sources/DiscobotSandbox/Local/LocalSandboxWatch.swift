// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// Follows the running sandboxes until they end.
actor LocalSandboxWatch {
    private var watches: [ID<Session>: PipeWatch] = [:]
    private let feed: SandboxChangeFeed

    init(feed: SandboxChangeFeed) {
        self.feed = feed
    }

    /// Tells the feed when that sandbox ends; nothing happens when it is followed already. Throws `SandboxError`
    /// when this process can open no more files.
    func follow(_ id: ID<Session>, _ lifeLine: LifeLine) throws {
        guard watches[id] == nil else { return }
        let watch = try lifeLine.watch { [weak self] in
            // The pipe's end comes on an event loop, which has no task.
            Task { await self?.ended(id) }
        }
        if let watch { watches[id] = watch } else { feed.publish(id) }
    }

    /// For one that has been removed.
    func forget(_ id: ID<Session>) {
        watches.removeValue(forKey: id)?.cancel()
    }

    private func ended(_ id: ID<Session>) {
        watches[id] = nil
        feed.publish(id)
    }

    deinit {
        for watch in watches.values { watch.cancel() }
    }
}
