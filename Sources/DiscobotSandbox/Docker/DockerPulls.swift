// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// Pulls images, each once at a time, however many want it.
final class DockerPulls: Sendable {
    typealias Report = @Sendable (PullProgress) -> Void

    /// Those who want to know how far a pull is.
    private struct Readers {
        var next = 0
        var all: [String: [Int: Report]] = [:]
        var last: [String: PullProgress] = [:]
    }

    private let client: DockerClient
    private let settingsDirectory: String?
    private let logger: Logger
    private let tasks = SharedTasks<String, Void>()
    private let readers = Mutex(Readers())

    init(client: DockerClient, settingsDirectory: String?, logger: Logger) {
        self.client = client
        self.logger = logger
        self.settingsDirectory = settingsDirectory
    }

    /// Returns when the engine has the image, and reports how far it is meanwhile, beginning with where it is now. The pull
    /// goes on when the caller gives up. Throws `DockerError`.
    func pull(_ image: ImageReference, _ report: @escaping Report) async throws {
        let name = image.description
        let number = readers.withLock { readers in
            readers.next += 1
            readers.all[name, default: [:]][readers.next] = report
            return readers.next
        }
        defer { readers.withLock { $0.all[name]?[number] = nil } }
        if let last = readers.withLock({ $0.last[name] }) { report(last) }
        try await tasks.value(of: name) { [self] in
            defer { readers.withLock { $0.last[name] = nil } }
            let settings = settingsDirectory.flatMap { DockerSettings(directory: $0) }
            let credentials = try await settings?.credentials(for: image.registry, logger: logger)
            try await client.pull(image, credentials: credentials) { [self] progress in
                let reports = readers.withLock { readers in
                    readers.last[name] = progress
                    return readers.all[name].map { Array($0.values) } ?? []
                }
                for report in reports { report(progress) }
            }
        }
    }
}
