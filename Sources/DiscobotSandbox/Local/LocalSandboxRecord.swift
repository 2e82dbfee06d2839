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

    /// Codes of an orderly end, and of one that somebody else ordered, as with Docker.
    var isOrderly: Bool { Self.reasons[code] != nil && !isOutOfMemory }
    /// What has happened, after "the sandbox".
    var reason: String? { Self.reasons[code].map { "\($0) (exit code \(code))" } }

    private static let reasons = [
        0: "has ended by itself", 137: "was killed, by somebody or for want of memory of the machine",
        143: "was told to end by somebody",
    ]
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
            let failure = end.flatMap { $0.isOrderly || wasAsked ? nil : $0 }
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
            // Without a note somebody has killed the launcher as well.
            end: status == .stopped && !wasAsked ? end?.reason ?? "was killed, with its launcher" : nil
        )
    }

    /// The last lines that tell something; it may be shown to users.
    static func tail(_ log: String) -> String {
        let lines = log.split(separator: "\n").map { line in
            line.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.map { String($0) }.joined()
        }
        let last = lines.filter { !$0.isEmpty }.suffix(3).joined(separator: "; ")
        return last.isEmpty ? "" : ": " + last.suffix(400)
    }
}
