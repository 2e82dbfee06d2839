// SPDX-License-Identifier: Apache-2.0

/// Which passages have been found to work. The usual one is kept in a file, so that it is tried once and not at each start.
actor DockerPassages {
    private let path: String
    private let lifetime: Duration
    private let tasks = SharedTasks<String, DockerPassage>()
    private var known: [String: (passage: DockerPassage, time: ContinuousClock.Instant)] = [:]

    /// - Parameter lifetime: how long another passage than the usual one is used before that is tried again: it may have
    ///   been too slow only.
    init(path: String, lifetime: Duration = .seconds(600)) {
        self.path = path
        self.lifetime = lifetime
    }

    /// - Parameters:
    ///   - engine: what tells the engine and its settings from others.
    ///   - probe: tries the passages.
    func passage(
        of engine: String,
        _ probe: @escaping @Sendable () async throws -> DockerPassage
    ) async throws -> DockerPassage {
        guard let known = known[engine] else {
            if try PrivateFile.read(path, limit: 4096) == engine { return .socket }
            return try await find(engine, probe)
        }
        if known.passage != .socket, known.time + lifetime < .now {
            self.known[engine]?.time = .now
            // Nobody waits for it, as what is known works. It ends by itself, like any probe.
            Task { try? await find(engine, probe) }
        }
        return known.passage
    }

    @discardableResult
    private func find(
        _ engine: String,
        _ probe: @escaping @Sendable () async throws -> DockerPassage
    ) async throws -> DockerPassage {
        let passage = try await tasks.value(of: engine, probe)
        known[engine] = (passage, .now)
        // When it cannot be written, it is tried again.
        if passage == .socket { try? PrivateFile.write(engine, to: path) }
        return passage
    }
}
