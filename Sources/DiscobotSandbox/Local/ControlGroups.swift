// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// The control groups that limit one sandbox as a whole, where the server may make some: version 2 in the nearest
/// group above its own that hands out `memory` and `pids`, else those of version 1.
struct ControlGroups: Sendable {
    private enum Controller: String, CaseIterable {
        case memory, pids
    }

    let directories: [String]
    let limitMemory: Bool

    /// Those with that name, made and limited as far as that is possible.
    init(making name: String, _ limits: SandboxSpecification.Limits) {
        var made: [String] = []
        var limitMemory = false
        let memory = limits.memoryMegabytes.map { String($0 << 20) }
        let processes = limits.processes.map { String($0) }
        if let parent = Self.unified, memory != nil || processes != nil {
            let path = "\(parent)/\(name)"
            if Self.make(path) {
                made.append(path)
                limitMemory = memory.map { Self.set($0, "\(path)/memory.max") } ?? false
                if limitMemory { _ = Self.set("0", "\(path)/memory.swap.max") }
                if let processes { _ = Self.set(processes, "\(path)/pids.max") }
            }
        } else {
            if let memory, let parent = Self.parent(of: .memory), Self.make("\(parent)/\(name)") {
                made.append("\(parent)/\(name)")
                limitMemory = Self.set(memory, "\(parent)/\(name)/memory.limit_in_bytes")
                _ = Self.set(memory, "\(parent)/\(name)/memory.memsw.limit_in_bytes")
            }
            if let processes, let parent = Self.parent(of: .pids), Self.make("\(parent)/\(name)") {
                made.append("\(parent)/\(name)")
                _ = Self.set(processes, "\(parent)/\(name)/pids.max")
            }
        }
        directories = made
        self.limitMemory = limitMemory
    }

    /// Removes those of an ended sandbox; one that still has processes stays.
    ///
    /// - Returns: whether they are gone.
    static func remove(_ name: String) -> Bool {
        let parents = [unified] + Controller.allCases.map { parent(of: $0) }
        return parents.compactMap(\.self).allSatisfy { rmdir("\($0)/\(name)") == 0 || errno != EBUSY }
    }

    /// Kills all that is in those of a sandbox; what begins meanwhile needs another call in version 1.
    static func kill(_ name: String) {
        if let unified, set("1", "\(unified)/\(name)/cgroup.kill") { return }
        let parents = [unified] + Controller.allCases.map { parent(of: $0) }
        for parent in parents.compactMap(\.self) {
            let text = (try? PrivateFile.read("\(parent)/\(name)/cgroup.procs", limit: 1 << 16)) ?? ""
            for process in processes(text) { Glibc.kill(process, SIGKILL) }
        }
    }

    /// - Parameter text: one in each line; the last number may be cut, and so another process's.
    static func processes(_ text: String) -> [pid_t] {
        (text.lastIndex(of: "\n").map { text[..<$0] } ?? "").split(separator: "\n").compactMap { pid_t($0) }
    }

    private static func make(_ path: String) -> Bool {
        mkdir(path, 0o755) == 0 || errno == EEXIST
    }

    private static func set(_ value: String, _ path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return write(descriptor, value, value.utf8.count) == value.utf8.count
    }

    /// Nil where version 2 has no such group.
    private static let unified: String? = {
        guard var path = ownGroup("") else { return nil }
        while true {
            let directory = "/sys/fs/cgroup" + path
            let handedOut = ((try? PrivateFile.read("\(directory)/cgroup.subtree_control", limit: 4096)) ?? "").split {
                $0 == " " || $0 == "\n"
            }
            if handedOut.contains("memory"), handedOut.contains("pids"), access("\(directory)/cgroup.procs", W_OK) == 0
            {
                return directory
            }
            guard let slash = path.lastIndex(of: "/") else { return nil }
            path = String(path[..<slash])
        }
    }()

    private static let memory = versionOne(.memory)
    private static let pids = versionOne(.pids)

    private static func parent(of controller: Controller) -> String? {
        switch controller {
        case .memory: memory
        case .pids: pids
        }
    }

    private static func versionOne(_ controller: Controller) -> String? {
        guard let path = ownGroup(controller.rawValue) else { return nil }
        let mount = "/sys/fs/cgroup/\(controller.rawValue)"
        // In a container the path is often the host's, and the mount is the group itself.
        return [mount + (path == "/" ? "" : path), mount].first { access("\($0)/cgroup.procs", W_OK) == 0 }
    }

    /// The server's own group for a controller; the controller of version 2 has no name.
    private static func ownGroup(_ controller: String) -> String? {
        let lines = ((try? PrivateFile.read("/proc/self/cgroup", limit: 1 << 14)) ?? "").split(separator: "\n")
        for line in lines {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3,
                fields[1].split(separator: ",").contains(Substring(controller)) || fields[1] == controller
            else { continue }
            return String(fields[2])
        }
        return nil
    }
}
