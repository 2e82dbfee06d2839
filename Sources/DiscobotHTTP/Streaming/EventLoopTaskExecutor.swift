// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Runs tasks on an event loop.
///
/// A stream that does nothing but write to a connection is quicker there: each wake-up would otherwise cost two changes
/// of thread.
final class EventLoopTaskExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
