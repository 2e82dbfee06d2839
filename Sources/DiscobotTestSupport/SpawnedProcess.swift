// SPDX-License-Identifier: Apache-2.0

import CLinux
import Foundation
import Synchronization

/// A program as a process of its own, to be killed.
///
/// Started by `posix_spawn`: Foundation's `Process` crashes now and then when many threads start programs at once.
package final class SpawnedProcess: Sendable {
    package let identifier: Int32
    /// Nil while it runs.
    private let exitStatus = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - arguments: the program's path first.
    ///   - log: the file that gets what it writes to its error output.
    package init(_ arguments: [String], environment: [String: String], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // Connections that servers in this process have accepted, among others: held open here, they would not end.
        clinux_close_from(&actions, 3)
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var identifier: pid_t = 0
        guard posix_spawn(&identifier, arguments[0], &actions, nil, &argv, &envp) == 0 else {
            throw Shell.Failed(description: "\(arguments[0]) cannot be started")
        }
        self.identifier = identifier
    }

    /// An executable beside the tests.
    package static func built(_ name: String) -> String {
        URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/" + name
    }

    package var isRunning: Bool { reap(WNOHANG) == nil }

    /// Ends the process at once, as a crash would, and waits for it.
    package func kill() {
        signal(SIGKILL)
    }

    /// Asks the process to end; returns its exit code, or that of a signal as a shell tells it.
    @discardableResult
    package func terminate() async -> Int32 {
        await Thread.run { self.signal(SIGTERM) }
    }

    @discardableResult
    private func signal(_ number: Int32) -> Int32 {
        if isRunning { Glibc.kill(identifier, number) }
        return reap(0) ?? -1
    }

    /// The exit code; nil while the process runs and the options say not to wait.
    private func reap(_ options: Int32) -> Int32? {
        exitStatus.withLock { exitStatus in
            if let exitStatus { return exitStatus }
            var status: Int32 = 0
            guard waitpid(identifier, &status, options) == identifier else { return nil }
            exitStatus = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
            return exitStatus
        }
    }

    /// Returns when `isReady` says so. A new process has no way to say that it listens; asking is all a client can do.
    package func waitUntilReady(_ isReady: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(240)
        while ContinuousClock.now < deadline, isRunning {
            if (try? await isReady()) == true { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        kill()
        throw Shell.Failed(description: "the process does not answer")
    }
}
