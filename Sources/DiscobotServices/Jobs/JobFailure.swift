// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// What an error thrown by an attempt means for its job.
struct JobFailure {
    let outcome: JobStatus.Outcome
    /// What the user may read.
    let message: String
    let isWorthLogging: Bool

    init(_ error: any Error) {
        switch error {
        case JobAttempt.Interruption.cancelled:
            self.init(.cancelled, "cancelled", isWorthLogging: false)
        case JobAttempt.Interruption.shutdown, is CancellationError:
            self.init(.interrupted, "the server stopped", isWorthLogging: false)
        case JobAttempt.Interruption.timedOut:
            self.init(.failed(retryable: true), "it took too long", isWorthLogging: true)
        case let error as ServerError:
            self.init(.failed(retryable: !error.isPermanent), error.message, isWorthLogging: true)
        default:
            self.init(.failed(retryable: true), "an internal error; the server's log says more", isWorthLogging: true)
        }
    }

    private init(_ outcome: JobStatus.Outcome, _ message: String, isWorthLogging: Bool) {
        self.outcome = outcome
        self.message = message
        self.isWorthLogging = isWorthLogging
    }
}
