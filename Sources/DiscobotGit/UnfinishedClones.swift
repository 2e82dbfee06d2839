// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import SystemPackage

/// The git processes of clones whose server has been killed.
///
/// Nobody can write down a process at the very moment it begins. So each clone has its place in its environment, which
/// its children inherit, and is found by that: no record can be missing, and no reused process id be hit.
package enum UnfinishedClones {
    private static let variable = "DISCOBOT_CLONE"
    private static let patience: Duration = .seconds(5)

    /// The variable for a clone into `directory`.
    static func mark(_ directory: String) -> [String: String] {
        [variable: directory]
    }

    /// Ends all clones into `directory` or a place below it, this server's own included. Throws ``GitError``.
    package static func end(in directory: String) async throws {
        let place = FilePath(directory).lexicallyNormalized().string
        let deadline = ContinuousClock.now + patience
        // They are no children of this process, which could be waited for; and one may just have begun another.
        while case let processes = processes(in: place), !processes.isEmpty {
            guard ContinuousClock.now < deadline else {
                throw GitError(.failed, "an earlier clone does not end: \(place)")
            }
            for process in processes { kill(process, SIGKILL) }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private static func processes(in place: String) -> [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }.filter { isClone($0, in: place) }
    }

    /// False for processes of other users, whose environment is closed, and for those that have ended.
    private static func isClone(_ process: pid_t, in place: String) -> Bool {
        guard let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ") else { return false }
        let mark = Array("\(variable)=\(place)".utf8)
        return environment.split(separator: 0).contains { entry in
            entry.starts(with: mark) && [nil, UInt8(ascii: "/")].contains(entry.dropFirst(mark.count).first)
        }
    }
}
