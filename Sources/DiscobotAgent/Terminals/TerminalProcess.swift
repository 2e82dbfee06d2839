// SPDX-License-Identifier: Apache-2.0

import CLinux
import DiscobotAgentAPI
import DiscobotModel
import Glibc

/// The shell of a terminal. Like an agent's process it leads a session, carries a mark, and leaves nothing behind.
struct TerminalProcess: Sendable {
    struct Command: Sendable {
        let environment: [String: String]
        let directory: String
        let strays: StrayProcesses
    }

    private let pid: pid_t
    private let mark: String
    private let strays: StrayProcesses

    /// Starts a shell in a new terminal, of which it returns our end. Throws `operationFailed`.
    static func start(_ command: Command, size: TerminalSize) throws -> (TerminalProcess, Int32) {
        let terminal = clinux_open_terminal(UInt16(size.rows), UInt16(size.cols))
        guard terminal >= 0 else { throw failed(errno) }
        let mark = command.strays.begin()
        let environment = command.environment.merging([StrayProcesses.variable: mark, "SHELL": shell]) { $1 }
        var pid: pid_t = 0
        let error = withCStrings([shell]) { arguments in
            withCStrings(environment.map { "\($0.key)=\($0.value)" }) { variables in
                clinux_start_in_terminal(terminal, &pid, shell, arguments, variables, command.directory)
            }
        }
        guard error == 0 else {
            command.strays.ended(mark)
            close(terminal)
            throw failed(error)
        }
        command.strays.started(mark, pid)
        return (TerminalProcess(pid: pid, mark: mark, strays: command.strays), terminal)
    }

    /// Returns when the shell has ended; its exit code stays for ``end()``.
    func waitForEnd() async {
        let hasWaited = await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
            // The kernel wakes nobody else without a signal, which belongs to the process as a whole.
            let isWaiting = BlockingThread.run { [pid] in
                var information = siginfo_t()
                while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
                continuation.resume(returning: true)
            }
            if !isWaiting { continuation.resume(returning: false) }
        }
        // A sandbox may have as many processes and threads as it is allowed.
        while !hasWaited, !ProcessTable.hasEnded(pid) { await Self.pause(.milliseconds(100)) }
    }

    /// Not the task's own sleep, which a cancelled one does not get.
    private static func pause(_ time: Duration) async {
        await Task { try? await Task.sleep(for: time) }.value
    }

    /// Ends the shell, whose terminal is gone, and what it has left; returns its exit code as shells tell it.
    func end() async -> Int {
        let deadline = ContinuousClock.now + .seconds(2)
        kill(-pid, SIGHUP)
        var status: Int32 = 0
        var isAsked = false
        while waitpid(pid, &status, WNOHANG) == 0 {
            if ContinuousClock.now >= deadline {
                kill(-pid, SIGKILL)
            } else if !isAsked, ContinuousClock.now >= deadline - .seconds(1) {
                isAsked = true
                strays.terminate(pid)
            }
            await Self.pause(.milliseconds(5))
        }
        strays.ended(mark)
        await Task { await strays.end(by: deadline) }.value
        return status & 0x7F == 0 ? Int(status >> 8 & 0xFF) : 128 + Int(status & 0x7F)
    }

    func kill() {
        kill(-pid, SIGKILL)
        waitpid(pid, nil, 0)
        strays.ended(mark)
    }

    private func kill(_ target: pid_t, _ signal: Int32) {
        _ = Glibc.kill(target, signal)
    }

    private static var shell: String {
        ["/bin/bash", "/usr/bin/bash"].first { access($0, X_OK) == 0 } ?? "/bin/sh"
    }

    private static func failed(_ error: Int32) -> ServerError {
        ServerError(.operationFailed, "failed to attach to terminal: \(String(cString: strerror(error)))")
    }

    private static func withCStrings<Value>(
        _ texts: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        let pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
