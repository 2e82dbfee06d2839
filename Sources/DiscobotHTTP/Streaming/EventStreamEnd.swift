// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// When a stream has to end: the client has gone, or the server is stopping.
package final class EventStreamEnd: Sendable {
    private enum State {
        case ahead([@Sendable () -> Void])
        case reached
    }

    private let state = Mutex(State.ahead([]))

    /// Calls `action` once at the end, or now when that is past.
    package func whenReached(_ action: @escaping @Sendable () -> Void) {
        let isPast = state.withLock { state in
            guard case .ahead(let actions) = state else { return true }
            state = .ahead(actions + [action])
            return false
        }
        if isPast { action() }
    }

    package var isReached: Bool {
        state.withLock { state in
            if case .reached = state { return true }
            return false
        }
    }

    func reach() {
        let actions: [@Sendable () -> Void] = state.withLock { state in
            guard case .ahead(let actions) = state else { return [] }
            state = .reached
            return actions
        }
        for action in actions { action() }
    }
}
