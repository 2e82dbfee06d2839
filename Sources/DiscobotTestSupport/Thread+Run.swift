// SPDX-License-Identifier: Apache-2.0

import Foundation

extension Thread {
    /// Runs what blocks on a thread of its own: tasks, those of servers in this process too, share as many threads as
    /// there are processors.
    package static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            detachNewThread { continuation.resume(returning: body()) }
        }
    }
}
