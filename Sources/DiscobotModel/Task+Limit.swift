// SPDX-License-Identifier: Apache-2.0

extension Task where Success == Never, Failure == Never {
    /// Waits for a limit that is usually cancelled before. Throws `CancellationError`.
    ///
    /// A `sleep` that is cancelled leaves its timer, and half a kilobyte, until the whole of its time is over. This one waits
    /// in steps, so that little is left for long.
    package static func sleep(upTo limit: Duration, step: Duration = .seconds(10)) async throws {
        let end = ContinuousClock.now + limit
        while case let rest = ContinuousClock.now.duration(to: end), rest > .zero {
            try await sleep(for: min(rest, step))
        }
    }
}
