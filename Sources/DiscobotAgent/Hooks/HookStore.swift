// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import FoundationEssentials

/// How hooks ended, as it is kept on disk.
struct HookMemory: Sendable, Codable, Equatable {
    var hooks: [String: HookStatus] = [:]
    /// Those that have to run after the next turn.
    var pending: [String] = []
    var lastEvaluatedAt: Timestamp?

    mutating func begin(_ status: HookStatus) {
        var status = status
        status.lastRunAt = .now
        status.lastResult = .running
        status.lastExitCode = nil
        hooks[status.hookId] = status
    }

    mutating func end(_ id: String, exitCode: Int) {
        guard var status = hooks[id] else { return }
        status.runCount += 1
        status.lastExitCode = exitCode
        status.lastResult = exitCode == 0 ? .success : .failure
        status.failCount += exitCode == 0 ? 0 : 1
        status.consecutiveFailures = exitCode == 0 ? 0 : status.consecutiveFailures + 1
        hooks[id] = status
    }

    /// The run was broken off.
    mutating func forgetRun(_ id: String) {
        hooks[id]?.lastResult = nil
    }
}

/// Where it is kept what became of hooks: a file for all, and the output of each.
struct HookStore: Sendable {
    private let directory: String
    private static let readLimit = 1 << 20

    init(directory: String) {
        self.directory = directory
    }

    func outputPath(of id: String) -> String { "\(directory)/\(id).log" }
    /// Where git's hook notes its runs: time and exit code in each line.
    func commitsPath(of id: String) -> String { "\(directory)/\(id).commits" }
    private var file: String { "\(directory)/status.json" }

    /// What is not readable is forgotten.
    func load() -> HookMemory {
        guard let data = tail(of: file),
            var memory = try? JSONDecoder().decode(HookMemory.self, from: data)
        else { return HookMemory() }
        for (id, status) in memory.hooks where status.lastResult == .running { memory.forgetRun(id) }
        return memory
    }

    /// Best effort: a full disk only means that less is known later.
    func save(_ memory: HookMemory) {
        guard let data = try? JSONEncoder().encode(memory) else { return }
        try? data.write(to: URL(filePath: file), options: .atomic)
    }

    func output(of id: String) -> String {
        String(decoding: (tail(of: outputPath(of: id)) ?? Data()).filter { $0 != 0 }, as: UTF8.self)
    }

    /// Adds the runs by git's hook, which nobody counts here.
    func addCommits(to status: inout HookStatus) {
        guard let data = tail(of: commitsPath(of: status.hookId)) else { return }
        let runs = data.split(separator: UInt8(ascii: "\n")).compactMap { line -> (time: Int64, exitCode: Int)? in
            let fields = String(decoding: line, as: UTF8.self).split(separator: " ")
            guard fields.count == 2, let time = Int64(fields[0]), let exitCode = Int(fields[1]) else { return nil }
            return (time.multipliedReportingOverflow(by: 1000).partialValue, exitCode)
        }
        guard let last = runs.last else { return }
        status.runCount += runs.count
        status.failCount += runs.count { $0.exitCode != 0 }
        let time = Timestamp(milliseconds: last.time)
        guard status.lastRunAt.map({ $0 < time }) ?? true else { return }
        status.lastRunAt = time
        status.lastExitCode = last.exitCode
        status.lastResult = last.exitCode == 0 ? .success : .failure
        status.consecutiveFailures = runs.reversed().prefix { $0.exitCode != 0 }.count
    }

    private func tail(of path: String) -> Data? { RegularFile.tail(of: path, limit: Self.readLimit) }
}
