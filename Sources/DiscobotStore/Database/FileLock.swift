// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Foundation
import Synchronization

/// An exclusive lock that the kernel drops with the process: one server for each SQLite file.
///
/// Two servers on one file would each run the other's jobs, and neither would hear of the other's events.
final class FileLock: Sendable {
    private let descriptor: Mutex<Int32?>

    private init(descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    deinit {
        release()
    }

    /// Takes the lock, waiting at most `timeout` for another process to let go of it.
    static func acquire(path: String, timeout: Duration, onWait: () -> Void) async throws -> FileLock {
        let deadline = ContinuousClock.now + timeout
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw ServerError(.unavailable, "DATABASE_DSN: the lock file \(path) cannot be opened: \(reason)")
        }
        let lock = FileLock(descriptor: descriptor)
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return lock }
        onWait()
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < deadline else {
                throw ServerError(.unavailable, "another server uses this database (it holds \(path)); stop it first")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        return lock
    }

    func release() {
        descriptor.withLock { descriptor in
            guard let open = descriptor else { return }
            // Closing alone is not enough: a child that is just being started has a copy until it runs its program.
            flock(open, LOCK_UN)
            close(open)
            descriptor = nil
        }
    }
}
