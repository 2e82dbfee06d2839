// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Synchronization

/// One run of a job that can be cut short from outside.
struct JobAttempt: Sendable {
    /// Why an attempt is cut short.
    enum Interruption: Error, Equatable {
        case cancelled
        case leaseLost
        case shutdown
        case timedOut
    }

    /// A job that is claimed again, because its first attempt was lost, is another attempt.
    struct Key: Hashable {
        private let id: ID<Job>
        private let fence: Int

        init(_ job: Job) {
            id = job.id
            fence = job.fence
        }
    }

    let job: Job
    var key: Key { Key(job) }
    private let interruptions: AsyncStream<Interruption>
    private let continuation: AsyncStream<Interruption>.Continuation

    init(_ job: Job) {
        self.job = job
        (interruptions, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    func interrupt(_ reason: Interruption) {
        continuation.yield(reason)
    }

    /// Runs `work` until it ends, is interrupted, or `timeout` has passed; then `work` is cancelled and waited for.
    func run(timeout: Duration, _ work: @escaping @Sendable (Job) async throws -> JobResult) async throws -> JobResult {
        try await withThrowingTaskGroup(of: JobResult.self) { group in
            group.addTask { try await work(job) }
            group.addTask {
                for await reason in interruptions { throw reason }
                throw CancellationError()
            }
            group.addTask {
                try await Task.sleep(upTo: timeout)
                throw Interruption.timedOut
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
