// SPDX-License-Identifier: Apache-2.0

/// Where a job stands.
package enum JobStatus: String, Sendable, CaseIterable {
    case pending, running, completed, failed, cancelled

    /// How an attempt at a job ended.
    package enum Outcome: Sendable, Equatable {
        case succeeded
        /// The work failed; `retryable` is false where another attempt cannot help.
        case failed(retryable: Bool)
        /// The server is stopping: the attempt does not count.
        case interrupted
        case cancelled
    }

    /// The status of a running job after an attempt, of which `attempts` have now been made.
    package static func after(_ outcome: Outcome, attempts: Int, maxAttempts: Int) -> JobStatus {
        switch outcome {
        case .succeeded: .completed
        case .failed(let retryable): retryable && attempts < maxAttempts ? .pending : .failed
        case .interrupted: .pending
        case .cancelled: .cancelled
        }
    }
}
