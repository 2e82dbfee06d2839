// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What is written down about a sandbox.
struct LocalSandboxRecord: Codable, Sendable {
    var specification: SandboxSpecification
    let createdAt: Timestamp
    var startedAt: Timestamp?
}

/// How a sandbox ended, as its launcher has noted it.
struct LocalSandboxEnd: Sendable {
    let code: Int
    let isOutOfMemory: Bool
    let time: Timestamp

    /// - Parameter note: the exit code, and `oom` when the memory limit ended a process.
    init?(_ note: String, at time: Timestamp) {
        let words = note.split { $0 == " " || $0 == "\n" }
        guard let code = words.first.flatMap({ Int($0) }) else { return nil }
        self.code = code
        // Without a fatal signal that was some other process, which the runtime outlived.
        isOutOfMemory = words.contains("oom") && code == 137
        self.time = time
    }

    /// Nil for a failure.
    var orderly: OrderlyExit? { isOutOfMemory ? nil : OrderlyExit(rawValue: code) }
}

extension LocalSandboxRecord {
    /// - Parameters:
    ///   - wasAsked: whether it was told to stop, after which any end is a proper one.
    ///   - log: read only when it failed.
    func sandbox(isRunning: Bool, end: LocalSandboxEnd?, wasAsked: Bool, log: () throws -> String) rethrows -> Sandbox {
        var status = Sandbox.Status.created
        var error: String?
        if isRunning {
            status = .running
        } else if startedAt != nil {
            let failure = end.flatMap { $0.orderly != nil || wasAsked ? nil : $0 }
            status = failure == nil ? .stopped : .failed
            error = try failure.map { failure in
                try failure.isOutOfMemory ? "ran out of memory" : "exited with code \(failure.code)" + Self.tail(log())
            }
        }
        return Sandbox(
            sessionID: specification.sessionID,
            projectID: specification.projectID,
            status: status,
            image: "local",
            createdAt: createdAt,
            startedAt: startedAt,
            stoppedAt: status == .stopped || status == .failed ? end?.time : nil,
            error: error,
            end: status == .stopped && !wasAsked ? end?.orderly?.reason ?? Self.endWithoutNote : nil
        )
    }

    private static let endWithoutNote =
        "has ended without a trace, as when the machine stops or somebody kills all of it"

    /// The last lines that tell something; it may be shown to users.
    static func tail(_ log: String) -> String {
        let lines = log.split(separator: "\n").map { line in
            line.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.map { String($0) }.joined()
        }
        let last = lines.filter { !$0.isEmpty }.suffix(3).joined(separator: "; ")
        return last.isEmpty ? "" : ": " + last.suffix(400)
    }
}
