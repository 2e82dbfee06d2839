// SPDX-License-Identifier: Apache-2.0

/// Lets all who want the same thing wait for one task. It goes on when they give up, so it must end by itself.
actor SharedTasks<Key: Hashable & Sendable, Value: Sendable> {
    private var tasks: [Key: Task<Value, any Error>] = [:]

    /// The result of the task that makes `key`; `work` makes it when there is no such task. Throws `CancellationError` to a
    /// caller that is cancelled, at once.
    func value(of key: Key, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Self.end(of: tasks[key] ?? begin(key, work))
    }

    private func begin(_ key: Key, _ work: @escaping @Sendable () async throws -> Value) -> Task<Value, any Error> {
        // Of all who wait, and of none of them.
        let task = Task {
            defer { tasks[key] = nil }
            return try await work()
        }
        tasks[key] = task
        return task
    }

    /// Unlike a task's value, this wait ends with the one who waits.
    private static func end(of task: Task<Value, any Error>) async throws -> Value {
        let (ends, continuation) = AsyncThrowingStream.makeStream(of: Value.self)
        // Ends with the task, whether anybody still waits or not.
        Task {
            switch await task.result {
            case .success(let value):
                continuation.yield(value)
                continuation.finish()
            case .failure(let error): continuation.finish(throwing: error)
            }
        }
        for try await value in ends { return value }
        throw CancellationError()
    }
}
