// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import FoundationEssentials
import SystemPackage

/// Folds what was said into messages, one completion after another, the newest first.
struct JournalHistory {
    /// How much of the messages there is still room for, in bytes of their lines.
    private var room: Int
    private var turns: [[UIMessage]] = []

    /// - Parameter limit: where the history ends: older completions are left out. An answer that is larger by itself
    ///   ends there when it is the newest, and is left out otherwise.
    init(limit: Int) {
        room = limit
    }

    /// Questions and answers in their order. Throws when a file cannot be read.
    static func messages(of files: [JournalFile], limit: Int) throws -> [UIMessage] {
        var history = JournalHistory(limit: limit)
        for file in files.reversed() {
            do {
                guard try history.add(file) else { break }
            } catch Errno.noSuchFileOrDirectory {
                // It was the oldest, and was removed in the meantime; so were those before.
                break
            }
        }
        return history.turns.reversed().flatMap { $0 }
    }

    /// Returns whether there is room for more.
    private mutating func add(_ file: JournalFile) throws -> Bool {
        var question: UIMessage?
        var answer = MessageBuilder(id: Conversation.messageID(of: file.completion), createdAt: file.startedAt)
        try file.forEachLine { line in
            if question == nil {
                question = try JSONDecoder().decode(JournalHeader.self, from: Data(line)).message
                room -= line.count
            } else if let chunk = try? JSONDecoder().decode(Chunk.self, from: Data(line)) {
                room -= chunk.addedBytes(line: line.count)
                if room >= 0 { answer.append(chunk) }
            }
            return room >= 0
        }
        guard let question, room >= 0 || turns.isEmpty else { return false }
        turns.append([question, answer.message])
        return room >= 0
    }
}

extension Chunk {
    /// What it adds to its message; of a delta that is the text alone.
    fileprivate func addedBytes(line: Int) -> Int {
        switch self {
        case .textDelta(_, let delta), .reasoningDelta(_, let delta): delta.utf8.count
        case .toolInputDelta: 0
        default: line
        }
    }
}
