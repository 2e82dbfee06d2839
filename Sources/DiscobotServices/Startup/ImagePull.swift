// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
package import DiscobotSandbox
package import Logging
import ServiceLifecycle

/// Fetches the image of a provider's sandboxes after the server's start, again and again until it is there.
///
/// Nothing is shown of it where the image is there already, or as long as nobody could fetch it.
package struct ImagePull: Service, CustomStringConvertible {
    package struct Settings: Sendable {
        /// Before the second attempt; doubles each time.
        package var firstWait: Duration = .seconds(5)
        package var longestWait: Duration = .seconds(5 * 60)
        /// The longest attempt, for a source that knows no end. What has come of an image stays with the engine, so the next
        /// one goes on.
        package var attempt: Duration = .seconds(7 * 3600)

        package init() {}
    }

    private let fetch: ImageFetch
    private let settings: Settings
    private let logger: Logger

    /// - Parameter provider: its name.
    package init(
        of provider: String,
        from source: any SandboxImageSource,
        tasks: StartupTasks,
        settings: Settings = Settings(),
        logger: Logger
    ) {
        fetch = ImageFetch(provider: provider, source: source, tasks: tasks)
        self.settings = settings
        self.logger = logger
    }

    package var description: String { "pull of the image of \(fetch.provider)" }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var backOff = BackOff(first: settings.firstWait, longest: settings.longestWait)
            while await !succeeds() {
                guard (try? await Task.sleep(for: backOff.next())) != nil else { return }
            }
        }
        // Ending by itself would end the server.
        try? await gracefulShutdown()
    }

    /// One attempt; false when another one may help.
    private func succeeds() async -> Bool {
        do {
            if try await fetch.source.isImagePresent() {
                // It may have come in another way since an attempt of ours.
                if fetch.isShown { fetch.complete() }
                return true
            }
            try await pull()
            logger.info("the image of the sandboxes is there", metadata: ["image": "\(fetch.source.imageName)"])
            return true
        } catch is CancellationError {
            return true
        } catch let error as SandboxError where error.code == .unavailable && !fetch.isShown {
            // Nobody is there to ask: that is the provider's state, and no failure of ours.
            return false
        } catch {
            guard !Task.isCancelled else { return true }
            fail(error)
            return false
        }
    }

    private func pull() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await fetch.run() }
            group.addTask {
                try await Task.sleep(upTo: settings.attempt)
                throw SandboxError(.timedOut, "it took longer than \(settings.attempt.components.seconds) s")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func fail(_ error: any Error) {
        fetch.fail(error)
        logger.warning(
            "the image of the sandboxes could not be fetched",
            metadata: ["image": "\(fetch.source.imageName)", "error": "\(error)"]
        )
    }
}

/// How long to wait before each further attempt.
struct BackOff: Sendable {
    private var wait: Duration
    private let longest: Duration

    init(first: Duration, longest: Duration) {
        wait = min(first, longest)
        self.longest = longest
    }

    mutating func next() -> Duration {
        defer { wait = min(wait * 2, longest) }
        return wait
    }
}
