// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// The processes that can be seen now, as `/proc` tells them.
struct ProcessTable {
    struct Entry: Equatable {
        let pid: pid_t
        let parent: pid_t
        let session: pid_t
        let isZombie: Bool
        /// When it was started, in ticks since the machine was.
        let start: UInt64

        /// Tells the process from another one that gets its number later.
        var identity: Identity { Identity(pid: pid, start: start) }
    }

    struct Identity: Hashable {
        let pid: pid_t
        let start: UInt64
    }

    private let children: [pid_t: [Entry]]
    let entries: [Entry]

    init(_ entries: [Entry]) {
        self.entries = entries
        children = Dictionary(grouping: entries, by: \.parent)
    }

    static func now() -> ProcessTable {
        guard let directory = opendir("/proc") else { return ProcessTable([]) }
        defer { closedir(directory) }
        var entries: [Entry] = []
        while let item = readdir(directory) {
            let name = withUnsafePointer(to: &item.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let pid = pid_t(name), let text = contents("/proc/\(pid)/stat") else { continue }
            if let entry = Entry(pid: pid, stat: text) { entries.append(entry) }
        }
        return ProcessTable(entries)
    }

    func children(of pid: pid_t) -> [Entry] {
        children[pid] ?? []
    }

    /// The processes below `pid`, nearest first.
    func descendants(of pid: pid_t) -> [Entry] {
        var found = children(of: pid)
        var next = 0
        while next < found.count {
            found += children(of: found[next].pid)
            next += 1
        }
        return found
    }

    /// The variable `name` of the process's environment; nil where it has none or hides it.
    static func variable(_ name: String, of pid: pid_t) -> String? {
        guard let environment = contents("/proc/\(pid)/environ") else { return nil }
        let prefix = Array("\(name)=".utf8)
        return environment.split(separator: 0).first { $0.starts(with: prefix) }
            .map { String(decoding: $0.dropFirst(prefix.count), as: UTF8.self) }
    }

    /// The file that a process runs; nil where it hides it or has ended.
    static func executable(of pid: pid_t) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/\(pid)/exe", &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    private static func contents(_ path: String) -> [UInt8]? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec) else { return nil }
        defer { try? file.close() }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            guard let count = try? buffer.withUnsafeMutableBytes({ try file.read(into: $0) }) else { return nil }
            if count == 0 { break }
            bytes += buffer.prefix(count)
        }
        return bytes
    }
}

extension ProcessTable.Entry {
    /// Reads `pid (name) state parent group session …`; the name may hold anything, also `)`.
    init?(pid: pid_t, stat: [UInt8]) {
        guard let end = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = stat[(end + 1)...].split(separator: UInt8(ascii: " "), maxSplits: 20).prefix(20).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard fields.count == 20, let parent = pid_t(fields[1]), let session = pid_t(fields[3]),
            let start = UInt64(fields[19])
        else { return nil }
        let isZombie = fields[0] == "Z" || fields[0] == "X"
        self.init(pid: pid, parent: parent, session: session, isZombie: isZombie, start: start)
    }

    /// How long ago the process was started.
    var age: Duration {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        let started = Duration.milliseconds(Int64(clamping: start) * 1000 / Int64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec) - started
    }
}

extension ProcessTable {
    /// Whether a child has ended, waited for or not.
    static func hasEnded(_ pid: pid_t) -> Bool {
        guard let stat = contents("/proc/\(pid)/stat"), let entry = Entry(pid: pid, stat: stat) else { return true }
        return entry.isZombie
    }
}
