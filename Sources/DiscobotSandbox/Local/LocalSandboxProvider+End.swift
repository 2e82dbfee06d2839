// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import FoundationEssentials
import Glibc

extension LocalSandboxProvider {
    /// How long the kernel may take to end what was killed, on a machine that is busy.
    private static let killPatience: Duration = .seconds(15)

    /// Ends everything that lives of a sandbox; returns when it is gone. Throws `SandboxError` when that does not succeed.
    func end(_ session: LocalSessionFiles) async throws {
        // Goes on when the caller gives up: whoever was asked to end gets the time that takes.
        try await Task { try await endAll(session) }.value
    }

    private func endAll(_ session: LocalSessionFiles) async throws {
        let deadline = ContinuousClock.now + configuration.endPatience + Self.killPatience
        let lifeLine = LifeLine(path: session.alive)
        let first = try Self.firstProcess(session)
        if try lifeLine.isHeld {
            try PrivateFile.write("", to: session.stopping)
            let launchers = try Self.launchers(session)
            for launcher in launchers { kill(launcher, SIGTERM) }
            // Without one there is nobody to ask; but it may just have ended by itself.
            if try await !lifeLine.hasEnded(within: launchers.isEmpty ? .milliseconds(200) : configuration.endPatience)
            {
                // Whoever holds the pipe is in such a group, so its number cannot belong to others.
                for group in try Self.groups(session) { kill(-group, SIGKILL) }
                if try await !lifeLine.hasEnded(within: ContinuousClock.now.duration(to: deadline)) {
                    throw Self.cannotBeEnded
                }
            }
        }
        if !configuration.isIsolated { try await Self.killStrays(of: session, by: deadline) }
        try await waitUntilGone(first, session, by: deadline)
        try await session.agentSocket.remove()
    }

    private static var cannotBeEnded: SandboxError { SandboxError(.timedOut, "the sandbox cannot be ended") }

    /// The sandbox's first process, which nothing inside outlives.
    private static func firstProcess(_ session: LocalSessionFiles) throws -> pid_t? {
        let info = try PrivateFile.read(session.info, limit: 4096) ?? ""
        return info.firstRange(of: "\"child-pid\": ").flatMap { range in
            pid_t(info[range.upperBound...].prefix { $0.isNumber })
        }
    }

    /// As the launcher noted it, which it may not have got to.
    private static func notedLauncher(_ session: LocalSessionFiles) throws -> pid_t? {
        try PrivateFile.read(session.pid, limit: 32)?.split(separator: "\n").first.flatMap { pid_t($0) }
    }

    /// Those that lead a group; the others of the script's processes are in it.
    private static func launchers(_ session: LocalSessionFiles) throws -> [pid_t] {
        if let noted = try notedLauncher(session), try isLauncher(noted, session) { return [noted] }
        return try processes.filter { try getpgid($0) == $0 && isLauncher($0, session) }
    }

    private static func groups(_ session: LocalSessionFiles) throws -> Set<pid_t> {
        let found = try processes.filter { try isLauncher($0, session) }.map { getpgid($0) }
        return Set(try found + [notedLauncher(session)].compactMap(\.self)).filter { $0 > 1 && $0 != getpgrp() }
    }

    private static func isLauncher(_ pid: pid_t, _ session: LocalSessionFiles) throws -> Bool {
        let arguments = try PrivateFile.read("/proc/\(pid)/cmdline", limit: 4096)?.split(separator: "\0") ?? []
        return arguments.dropFirst().first == Substring(session.launcher)
    }

    private static var processes: [pid_t] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
    }

    /// When the pipe is let go, the kernel still has the last processes to end, which it does not tell.
    private func waitUntilGone(
        _ first: pid_t?,
        _ session: LocalSessionFiles,
        by deadline: ContinuousClock.Instant
    ) async throws {
        while true {
            let lives = try first.map { try Self.isEndingBubblewrap($0) } ?? false
            if !lives, ControlGroups.remove(session.groupName) { return }
            guard ContinuousClock.now < deadline else { throw Self.cannotBeEnded }
            ControlGroups.kill(session.groupName)
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Whether that process is a sandbox's first one on its way out. One that is not has the number of ours from before:
    /// ours lets go of the pipe only while it ends.
    private static func isEndingBubblewrap(_ pid: pid_t) throws -> Bool {
        guard let status = try PrivateFile.read("/proc/\(pid)/stat", limit: 512),
            let name = status.firstRange(of: "(bwrap) ")
        else { return false }
        let fields = status[name.upperBound...].split(separator: " ")
        guard fields.count > 6, let flags = UInt64(fields[6]) else { return false }
        let isExiting: UInt64 = 4  // PF_EXITING of the kernel
        return flags & isExiting != 0 && fields[0] != "Z" && fields[0] != "X"
    }

    /// Without a sandbox, programs that began a session of their own are known by the environment that they inherited.
    private static func killStrays(of session: LocalSessionFiles, by deadline: ContinuousClock.Instant) async throws {
        // One that starts another may do so before its turn comes, and one that is just becoming another program has no
        // environment for a moment. So one look that finds nothing is not enough.
        var emptyLooks = 0
        while emptyLooks < 3 {
            let strays = try strays(of: session)
            emptyLooks = strays.isEmpty ? emptyLooks + 1 : 0
            guard strays.isEmpty || ContinuousClock.now < deadline else { throw cannotBeEnded }
            for pid in strays { kill(pid, SIGKILL) }
            if !strays.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        }
    }

    private static func strays(of session: LocalSessionFiles) throws -> [pid_t] {
        let mark = Substring("\(AgentVariable.socket.rawValue)=\(session.socket)")
        return try processes.filter { pid in
            let environment = try PrivateFile.read("/proc/\(pid)/environ", limit: 1 << 16) ?? ""
            return pid != getpid() && environment.split(separator: "\0").contains(mark)
        }
    }
}
