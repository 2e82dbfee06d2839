// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import Glibc
import ServiceLifecycle
import Synchronization
import SystemPackage

/// Keeps a second runtime from the same data: two would spoil each other's journal and end each other's agents.
///
/// As the first of the services it is the last that ends. The kernel ends it with the process, however that dies.
final class DataLock: Service, Sendable {
    private let descriptor: Mutex<FileDescriptor?>

    /// Throws `conflict` when another runtime uses the data.
    init(_ directories: DataDirectories) throws {
        let file = try FileDescriptor.open(
            FilePath(directories.lock),
            .writeOnly,
            options: [.create, .closeOnExec],
            permissions: .ownerReadWrite
        )
        guard let error = Self.lock(file) else {
            descriptor = Mutex(file)
            return
        }
        try? file.close()
        throw error == .wouldBlock
            ? ServerError(.conflict, "DISCOBOT_DATA_DIR: another discobot-agent uses \(directories.root)")
            : ServerError(.operationFailed, "DISCOBOT_DATA_DIR: \(directories.lock) could not be locked: \(error)")
    }

    deinit {
        release()
    }

    func run() async throws {
        try? await gracefulShutdown()
        release()
    }

    /// Tries for a second: a child of a runtime that was killed has the lock until it runs its program.
    private static func lock(_ file: FileDescriptor) -> Errno? {
        for _ in 0..<50 {
            if flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 { return nil }
            let error = Errno(rawValue: errno)
            guard error == .wouldBlock || error == .interrupted else { return error }
            usleep(20_000)
        }
        return .wouldBlock
    }

    private func release() {
        descriptor.withLock { descriptor in
            try? descriptor?.close()
            descriptor = nil
        }
    }
}
