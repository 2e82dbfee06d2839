// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

extension AsyncStream where Element: Sendable {
    /// Waits for the end of the stream, but no longer than `limit` and not after the task is cancelled.
    func end(within limit: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in self {} }
            group.addTask { try? await Task.sleep(upTo: limit) }
            await group.next()
            group.cancelAll()
        }
    }
}
