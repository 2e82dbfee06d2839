// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization

/// The sandboxes that have been made and that somebody is about to start. Of one that was left at that nobody knows.
final class DockerBeginnings: Sendable {
    private let ids = Mutex<Set<ID<Session>>>([])

    func begin(_ id: ID<Session>) { ids.withLock { _ = $0.insert(id) } }
    func end(_ id: ID<Session>) { ids.withLock { _ = $0.remove(id) } }
    func contains(_ id: ID<Session>) -> Bool { ids.withLock { $0.contains(id) } }
}
