// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Synchronization

/// Ends what agents leave behind.
///
/// As a subreaper the runtime becomes the parent of every descendant whose parent ends, also of those that left their
/// process group and session. What the runtime has started itself carries a mark in its environment, so any other
/// child of the runtime is a stray.
package final class StrayProcesses: Sendable {
    /// The variable that marks what the runtime starts: `<owner>:<number>`, or `<owner>:own` for its own work.
    static let variable = "DISCOBOT_PROCESS"

    private struct State {
        var lastNumber = 0
        /// Marks of agents' processes that run, and the processes once they are known.
        var active: [String: pid_t?] = [:]
        /// Strays that were asked to end: nobody else waits for them.
        var condemned: Set<ProcessTable.Identity> = []
        /// Ended children that may still be waited for by whoever started them, and since when.
        var zombies: [ProcessTable.Identity: ContinuousClock.Instant] = [:]
    }

    /// How long a child may take from fork to exec, on the slowest machine.
    private static let forkLimit: Duration = .seconds(10)
    /// How long the kernel may take to end what was killed. With the time that agents have to end, this is less than the
    /// five seconds that a sandbox's runtime has to write down the end of a turn.
    private static let killPatience: Duration = .milliseconds(1500)

    private let owner: String
    private let isAlone: Bool
    /// The mark that this process was itself started with, if any.
    private let inheritedMark = ProcessTable.variable(variable, of: getpid())
    private let state = Mutex(State())

    /// - Parameters:
    ///   - owner: what tells this runtime from others on the machine: its data directory.
    ///   - isAlone: whether nothing else in this process starts programs; otherwise only marked ones can be strays.
    package init(owner: String, isAlone: Bool = true) {
        self.owner = owner
        self.isAlone = isAlone
        _ = clinux_become_subreaper()
        // What is written to an agent that does not read is an error of that write, see ``AgentProcess/write(_:)``.
        signal(SIGPIPE, SIG_IGN)
    }

    /// The environment of processes that the runtime runs for itself and waits for.
    package var ownMark: [String: String] { [Self.variable: "\(owner):own"] }

    /// A mark for a process that is about to be started.
    func begin() -> String {
        state.withLock { state in
            state.lastNumber += 1
            let mark = "\(owner):\(state.lastNumber)"
            state.active[mark] = .some(nil)
            return mark
        }
    }

    func started(_ mark: String, _ pid: pid_t) {
        state.withLock { $0.active[mark] = pid }
    }

    func ended(_ mark: String) {
        _ = state.withLock { $0.active.removeValue(forKey: mark) }
    }

    /// Asks a process and all below it to end, together with its group.
    func terminate(_ leader: pid_t) {
        let members = ProcessTable.now().descendants(of: leader)
        kill(-leader, SIGTERM)
        for member in members where !member.isZombie { kill(member.pid, SIGTERM) }
    }

    /// Asks all that carry a mark to end, wherever they went.
    func terminate(marked mark: String) {
        for process in Self.processes(marked: mark) { kill(process, SIGTERM) }
    }

    func isAlive(marked mark: String) -> Bool { !Self.processes(marked: mark).isEmpty }

    private static func processes(marked mark: String) -> [pid_t] {
        ProcessTable.now().entries.filter { !$0.isZombie && ProcessTable.variable(variable, of: $0.pid) == mark }
            .map(\.pid)
    }

    /// Returns when no stray is left: asks them to end, and kills them at `deadline`. Gives up on those of another user,
    /// and on all of them some time after the first kill.
    package func end(by deadline: ContinuousClock.Instant) async {
        var strays = sweep()
        for stray in strays { kill(stray, SIGTERM) }
        var firstKill: ContinuousClock.Instant?
        while !strays.isEmpty {
            let now = ContinuousClock.now
            if now >= deadline {
                let begun = firstKill ?? now
                firstKill = begun
                let killed = strays.filter { kill($0, SIGKILL) == 0 || errno != EPERM }
                guard !killed.isEmpty, now < begun + Self.killPatience else { return }
            }
            try? await Task.sleep(for: .milliseconds(5))
            strays = sweep()
        }
    }

    /// Waits for children that have ended long ago and that nobody has started here.
    package func reapAbandoned() {
        let zombies = ProcessTable.now().children(of: getpid()).filter(\.isZombie)
        let identities = Set(zombies.map(\.identity))
        state.withLock { state in state.zombies = state.zombies.filter { identities.contains($0.key) } }
        for child in zombies { reap(child) }
    }

    /// Kills what a runtime of the same data directory has left behind when it was killed itself, and returns when it is
    /// gone. Gives up after ten seconds.
    package func endPredecessors() async {
        let deadline = ContinuousClock.now + .seconds(10)
        // A process that is just becoming another program has no environment for a moment.
        var emptyLooks = 0
        while emptyLooks < 3, .now < deadline {
            let left = predecessors
            emptyLooks = left.isEmpty ? emptyLooks + 1 : 0
            for process in left { kill(process, SIGKILL) }
            try? await Task.sleep(for: .milliseconds(left.isEmpty ? 1 : 5))
        }
    }

    private var predecessors: [pid_t] {
        let own = getpid()
        return ProcessTable.now().entries.map(\.pid).filter { pid in
            pid != own && ProcessTable.variable(Self.variable, of: pid)?.hasPrefix(owner + ":") == true
        }
    }

    /// Waits for strays that have ended, and returns those that run, with all below them.
    private func sweep() -> [pid_t] {
        let table = ProcessTable.now()
        var found: [ProcessTable.Entry] = []
        for child in table.children(of: getpid()) {
            if child.isZombie {
                reap(child)
            } else if isStray(child) {
                found.append(child)
                found += table.descendants(of: child.pid).filter { !$0.isZombie }
            }
        }
        state.withLock { $0.condemned = Set(found.map(\.identity)) }
        return found.map(\.pid)
    }

    private func isStray(_ child: ProcessTable.Entry) -> Bool {
        let mark = ProcessTable.variable(Self.variable, of: child.pid)
        guard !isFork(child, mark: mark) else { return false }
        guard mark != "\(owner):own", isAlone || mark?.hasPrefix("\(owner):") == true else { return false }
        return state.withLock { state in
            if let mark, state.active[mark] != nil { return false }
            return !state.active.values.contains(child.pid)
        }
    }

    /// Whether a child may be a copy of this process that has not run its own program yet. An agent can run the same
    /// program too, which then carries the agent's mark, or gets older than any copy.
    private func isFork(_ child: ProcessTable.Entry, mark: String?) -> Bool {
        mark == inheritedMark && child.age < Self.forkLimit
            && ProcessTable.executable(of: child.pid) == ProcessTable.executable(of: getpid())
    }

    /// What the runtime starts leads a session and is waited for at once by its starter, who must not find it gone; so
    /// session leaders are only reaped when nobody has done so for a while.
    private func reap(_ child: ProcessTable.Entry) {
        let isAbandoned = state.withLock { state in
            if state.active.values.contains(child.pid) { return false }
            if state.condemned.remove(child.identity) != nil { return true }
            guard isAlone else { return false }
            guard child.session == child.pid else { return true }
            let now = ContinuousClock.now
            let since = state.zombies[child.identity] ?? now
            state.zombies[child.identity] = since
            return now - since > .seconds(10)
        }
        guard isAbandoned else { return }
        waitpid(child.pid, nil, WNOHANG)
        _ = state.withLock { $0.zombies.removeValue(forKey: child.identity) }
    }
}
