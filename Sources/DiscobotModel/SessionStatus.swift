// SPDX-License-Identifier: Apache-2.0

/// Where a session stands; `removed` is announced by events only and never stored.
package enum SessionStatus: String, Sendable, CaseIterable {
    case initializing, reinitializing, cloning
    case pullingImage = "pulling_image"
    case creatingSandbox = "creating_sandbox"
    case ready, running, stopped, error, removing, removed

    /// Whether a session in this status may go to `next`; staying is always allowed except after the end.
    package func canBecome(_ next: SessionStatus) -> Bool {
        if self == next { return self != .removed }
        return switch self {
        case .removed: false
        case .removing: next == .removed
        case .ready: [.running, .stopped, .reinitializing, .error, .removing].contains(next)
        case .running: [.ready, .stopped, .reinitializing, .error, .removing].contains(next)
        case .stopped, .error: [.reinitializing, .error, .removing].contains(next)
        case .initializing, .reinitializing, .cloning, .pullingImage, .creatingSandbox:
            next == .error || next == .stopped || next == .removing || next.progress > progress
        }
    }

    /// Whether a job is on the way to making the session usable.
    package var isPreparing: Bool {
        switch self {
        case .initializing, .reinitializing, .cloning, .pullingImage, .creatingSandbox: true
        default: false
        }
    }

    /// How far preparation has come; statuses outside it count as its end.
    private var progress: Int {
        switch self {
        case .initializing, .reinitializing: 0
        case .cloning: 1
        case .pullingImage: 2
        case .creatingSandbox: 3
        case .ready: 4
        default: 0
        }
    }
}

/// Where the transfer of a session's commits to its workspace stands.
package enum CommitStatus: String, Sendable, CaseIterable {
    case none = ""
    case pending, committing, completed, failed

    /// Whether a job is at work.
    package var isUnderWay: Bool { self == .pending || self == .committing }

    /// Whether the transfer may go to `next`.
    package func canBecome(_ next: CommitStatus) -> Bool {
        switch (self, next) {
        case (.none, .pending), (.completed, .pending), (.failed, .pending): true
        case (.pending, .committing), (.pending, .completed), (.pending, .failed): true
        case (.committing, .completed), (.committing, .failed): true
        // A session that was moved onto the workspace's newest commit has landed nothing.
        case (.pending, .none), (.committing, .none): true
        // The next turn of a session whose commits have landed starts a new transfer.
        case (.completed, .none): true
        default: false
        }
    }
}
