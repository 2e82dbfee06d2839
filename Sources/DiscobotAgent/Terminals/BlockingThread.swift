// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A thread for one call that blocks; tasks must not.
enum BlockingThread {
    private final class Work: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// False when there is no thread to be had; nothing is called then.
    static func run(_ work: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 128 << 10)
        let box = Unmanaged.passRetained(Work(work))
        var thread = pthread_t()
        let error = pthread_create(
            &thread,
            &attributes,
            { argument in
                argument.map { Unmanaged<Work>.fromOpaque($0).takeRetainedValue().run() }
                return nil
            },
            box.toOpaque()
        )
        if error != 0 { box.release() }
        return error == 0
    }
}
