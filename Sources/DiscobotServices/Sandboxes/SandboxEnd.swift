// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel
import DiscobotSandbox
import FoundationEssentials
import Synchronization

/// What has ended the sandbox of a turn, noted before another one takes its place.
final class SandboxEnd: Sendable {
    private let known = Mutex<String?>(nil)

    /// Nil for none, and where nobody could tell.
    var reason: String? { known.withLock { $0 } }

    func note(_ reason: String?) { known.withLock { $0 = reason ?? $0 } }
}

extension Sandbox? {
    /// What has happened to a sandbox that was in use, for its user; nil when it runs, or has not begun.
    var end: String? {
        guard let sandbox = self else { return "the sandbox was removed" }
        return switch sandbox.status {
        case .created, .running: nil
        case .failed: "the sandbox failed: \(sandbox.error ?? "unknown reason")"
        case .stopped: "the sandbox \(sandbox.end ?? "was stopped")"
        }
    }
}

extension ChunkBatch {
    /// With a reason where a runtime says only that it was interrupted.
    func explained(by reason: String?) -> ChunkBatch {
        guard let reason, lines.contains(ChunkSequence.Ending.interruption) else { return self }
        let chunk = Chunk.error(errorText: "\(ChunkSequence.Ending.interruption) (\(reason))")
        var texts = lines.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
        guard let last = texts.last, let said = try? JSONDecoder().decode(Chunk.self, from: Data(last.utf8)),
            said == .error(errorText: ChunkSequence.Ending.interruption),
            let line = try? String(decoding: JSONEncoder().encode(chunk), as: UTF8.self)
        else { return self }
        texts[texts.count - 1] = line
        return ChunkBatch(first: first, last: self.last, lines: texts.joined(separator: "\n"))
    }
}
