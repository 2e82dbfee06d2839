// SPDX-License-Identifier: Apache-2.0

/// Something that a server does in the background after its start, and how far it has come; its properties are its JSON.
package struct StartupTask: Sendable, Equatable, Encodable {
    package enum State: String, Sendable, Encodable {
        case pending, completed, failed
        case inProgress = "in_progress"
    }

    package let id: String
    /// For people.
    package let name: String
    package private(set) var state = State.pending
    /// In percent; nil while the total is not known.
    package private(set) var progress: Int?
    package private(set) var currentOperation: String?
    package private(set) var bytesDownloaded: Int64?
    package private(set) var totalBytes: Int64?
    /// Why the last attempt failed; the next one may still succeed.
    package private(set) var error: String?
    /// Of the present attempt, or the last one.
    package private(set) var startedAt: Timestamp?
    package private(set) var completedAt: Timestamp?

    package init(id: String, name: String) {
        self.id = id
        self.name = name
    }

    /// An attempt goes on; `total` is nil, or below `bytes`, while it is not known.
    package mutating func advance(_ operation: String, bytes: Int64? = nil, of total: Int64? = nil, at time: Timestamp)
    {
        if state != .inProgress {
            self = StartupTask(id: id, name: name)
            startedAt = time
        }
        state = .inProgress
        currentOperation = operation
        guard let bytes, bytes >= 0 else { return }
        bytesDownloaded = bytes
        totalBytes = total.flatMap { $0 >= max(bytes, 1) ? $0 : nil }
        progress = totalBytes.map { Int(Double(bytes) / Double($0) * 100) }
    }

    package mutating func complete(at time: Timestamp) {
        state = .completed
        progress = 100
        currentOperation = nil
        error = nil
        startedAt = startedAt ?? time
        completedAt = time
    }

    /// An attempt has failed. The same failure once more is no news.
    package mutating func fail(_ reason: String, at time: Timestamp) {
        guard state != .failed || error != reason else { return }
        state = .failed
        currentOperation = nil
        error = reason
        startedAt = startedAt ?? time
        completedAt = time
    }
}
