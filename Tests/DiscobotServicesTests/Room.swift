// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counts how many are inside at once.
final class Room: Sendable {
    private let state = Mutex((inside: 0, most: 0, visits: 0))

    /// The largest number that was ever inside.
    var most: Int { state.withLock { $0.most } }
    var visits: Int { state.withLock { $0.visits } }

    /// Runs `body` inside, with the number of this visit.
    func visit(_ body: (Int) async throws -> Void = { _ in await Task.yield() }) async throws {
        let number = state.withLock { state in
            state.inside += 1
            state.visits += 1
            state.most = max(state.most, state.inside)
            return state.visits
        }
        defer { state.withLock { $0.inside -= 1 } }
        try await body(number)
    }
}
