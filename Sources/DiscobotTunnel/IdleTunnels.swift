// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// Connections that wait for their next use: few for each place, and none of them for long.
package final class IdleTunnels: Sendable {
    private struct Entry {
        let number: Int
        let owner: TunnelOwner
    }

    private struct State {
        var entries: [String: [Entry]] = [:]
        var lastNumber = 0
    }

    /// For each place.
    private static let limit = 8
    /// Less than what most servers of HTTP wait for another request, so that they seldom close first.
    private static let patience = TimeAmount.seconds(3)

    private let state = Mutex(State())

    package init() {}

    /// Whatever is kept under one name.
    package func place(_ name: String) -> Place { Place(tunnels: self, name: name) }

    /// Closes what waits in a place.
    package func close(_ name: String) {
        _ = state.withLock { $0.entries.removeValue(forKey: name) }
    }

    package struct Place: Sendable {
        let tunnels: IdleTunnels
        let name: String

        /// A connection that is as it was left, as far as is known here; the peer may have closed it at this moment.
        package func take() async -> TunnelOwner? {
            while let owner = tunnels.removeNewest(name) {
                if await owner.tunnel.isUntouched() { return owner }
            }
            return nil
        }

        /// Keeps a connection on which nothing is under way.
        package func keep(_ owner: TunnelOwner) {
            tunnels.add(owner, name)
        }
    }

    private func removeNewest(_ name: String) -> TunnelOwner? {
        state.withLock { state in
            let entry = state.entries[name]?.popLast()
            if state.entries[name]?.isEmpty == true { state.entries[name] = nil }
            return entry?.owner
        }
    }

    private func add(_ owner: TunnelOwner, _ name: String) {
        let number = state.withLock { state -> Int? in
            guard state.entries[name, default: []].count < Self.limit else { return nil }
            state.lastNumber += 1
            state.entries[name, default: []].append(Entry(number: state.lastNumber, owner: owner))
            return state.lastNumber
        }
        guard let number else { return }
        owner.tunnel.eventLoop.scheduleTask(in: Self.patience) { [weak self] in self?.remove(number, name) }
    }

    private func remove(_ number: Int, _ name: String) {
        state.withLock { state in
            state.entries[name]?.removeAll { $0.number == number }
            if state.entries[name]?.isEmpty == true { state.entries[name] = nil }
        }
    }
}
