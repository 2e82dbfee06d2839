// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import SystemPackage

/// The git processes that a killed server has left at work on a directory.
///
/// Nobody can write down a process at the very moment it begins. So each has the directory in its environment, which
/// its children inherit, and is found by that: no record can be missing, and no reused process id be hit.
struct MarkedProcesses {
    let variable: String
    private let place: String

    init(_ variable: String, _ directory: String) {
        self.variable = variable
        place = FilePath(directory).lexicallyNormalized().string
    }

    /// What a process at work on the directory, or below it, has in its environment.
    var mark: [String: String] { [variable: place] }

    /// Kills them all, this server's own included. Throws `.failed` when they do not end.
    func end(patience: Duration = .seconds(5)) async throws {
        let isOver = try await wait(patience) { process in kill(process, SIGKILL) }
        guard isOver else { throw GitError(.failed, "an earlier git process does not end: \(place)") }
    }

    /// Lets them finish, and ends those that take too long.
    func waitForEnd(patience: Duration) async throws {
        if try await wait(patience, { _ in }) { return }
        // Asked politely first: git removes its locks then.
        if try await wait(.seconds(5), { kill($0, SIGTERM) }) { return }
        try await end()
    }

    /// They are no children of this process, which could be waited for; and one may just have begun another.
    private func wait(_ patience: Duration, _ act: (pid_t) -> Void) async throws -> Bool {
        let deadline = ContinuousClock.now + patience
        while case let processes = all, !processes.isEmpty {
            guard ContinuousClock.now < deadline else { return false }
            for process in processes { act(process) }
            try await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    private var all: [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }.filter(isMarked)
    }

    /// False for processes of other users, whose environment is closed, and for those that have ended.
    private func isMarked(_ process: pid_t) -> Bool {
        guard let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ") else { return false }
        let mark = Array("\(variable)=\(place)".utf8)
        return environment.split(separator: 0).contains { entry in
            entry.starts(with: mark) && [nil, UInt8(ascii: "/")].contains(entry.dropFirst(mark.count).first)
        }
    }
}
