// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization

/// Which sessions are behind aliases. A hash does not lead back, so the ids are tried, and what is found is remembered.
final class PreviewAliases: Sendable {
    private static let limit = 10_000
    private let known = Mutex<[String: ID<Session>]>([:])

    /// - Parameter candidates: all ids that may have an alias.
    func id(of alias: String, candidates: () throws -> [ID<Session>]) rethrows -> ID<Session>? {
        if let id = known.withLock({ $0[alias] }) { return id }
        guard let id = try candidates().first(where: { PreviewLabel.alias(of: $0) == alias }) else { return nil }
        known.withLock { known in
            if known.count >= Self.limit { known.removeAll() }
            known[alias] = id
        }
        return id
    }
}
