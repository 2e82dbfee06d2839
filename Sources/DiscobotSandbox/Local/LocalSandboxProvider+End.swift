// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials
import Glibc

extension LocalSandboxProvider {
    /// How long the runtime may take to end in order.
    private static let patience: Duration = .seconds(5)

    /// Ends everything that lives of a sandbox; returns when it is gone. Throws `SandboxError` when that does not succeed.
    func end(_ id: ID<Session>, _ session: LocalSessionFiles) async throws {
        let lifeLine = LifeLine(path: session.alive)
        let processes = Self.processes(session)
        if lifeLine.isHeld {
            try PrivateFile.write("", to: session.stopping)
            if let launcher = processes.launcher, Self.isLauncher(launcher, session) { kill(launcher, SIGTERM) }
            if await !lifeLine.hasEnded(within: Self.patience), let group = processes.launcher {
                // Whoever holds the pipe is in this group, so its number cannot belong to others.
                kill(-group, SIGKILL)
                if await !lifeLine.hasEnded(within: Self.patience) {
                    throw SandboxError(.timedOut, "the sandbox cannot be ended")
                }
            }
        }
        if !configuration.isIsolated { Self.killStrays(of: session) }
        try await waitUntilGone(processes, session)
        unlink(session.socket)
    }

    private struct Processes {
        /// Leads the group of everything outside of the sandbox.
        let launcher: pid_t?
        /// The sandbox's first process, which nothing inside outlives.
        let first: pid_t?
    }

    private static func processes(_ session: LocalSessionFiles) -> Processes {
        let launcher = PrivateFile.read(session.pid, limit: 32)?.split(separator: "\n").first.flatMap { pid_t($0) }
        let info = PrivateFile.read(session.info, limit: 4096) ?? ""
        let first = info.firstRange(of: "\"child-pid\": ").flatMap { range in
            pid_t(info[range.upperBound...].prefix { $0.isNumber })
        }
        return Processes(launcher: launcher, first: first)
    }

    private static func isLauncher(_ pid: pid_t, _ session: LocalSessionFiles) -> Bool {
        PrivateFile.read("/proc/\(pid)/cmdline", limit: 4096)?.contains(session.launcher) == true
    }

    /// When the pipe is let go, the kernel still has the last processes to end, which it does not tell.
    private func waitUntilGone(_ processes: Processes, _ session: LocalSessionFiles) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
            let lives = processes.first.map { Self.isBubblewrap($0) } ?? false
            if !lives, ControlGroups.remove(session.groupName) { return }
            for process in ControlGroups.processes(of: session.groupName) { kill(process, SIGKILL) }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Whether that process lives and is a sandbox's first one, not another that got its number later.
    private static func isBubblewrap(_ pid: pid_t) -> Bool {
        guard let status = PrivateFile.read("/proc/\(pid)/stat", limit: 512), status.contains("(bwrap)") else {
            return false
        }
        return !status.contains(") Z ") && !status.contains(") X ")
    }

    /// Without a sandbox, programs that began a session of their own are known by the environment that they inherited.
    private static func killStrays(of session: LocalSessionFiles) {
        let mark = "\(AgentVariable.socket.rawValue)=\(session.socket)"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(name), pid != getpid(),
                let environment = PrivateFile.read("/proc/\(name)/environ", limit: 1 << 16),
                environment.split(separator: "\0").contains(Substring(mark))
            else { continue }
            kill(pid, SIGKILL)
        }
    }
}
