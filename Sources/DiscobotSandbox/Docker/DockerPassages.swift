// SPDX-License-Identifier: Apache-2.0

/// Which passages have been found to work. The usual one is kept in a file, so that it is tried once and not at each start.
actor DockerPassages {
    /// Or why there is none.
    typealias Finding = Result<DockerPassage, SandboxError>
    private typealias Known<Value> = (value: Value, time: ContinuousClock.Instant)

    private let path: String
    private let lifetime: Duration
    private let failureLifetime: Duration
    private let tasks = SharedTasks<String, Finding>()
    private var known: [String: Known<DockerPassage>] = [:]
    /// The last failure of each engine, with the image that it was tried with.
    private var failures: [String: Known<(image: String, error: SandboxError)>] = [:]

    /// - Parameters:
    ///   - lifetime: how long another passage than the usual one is used before that is tried again: it may have been too
    ///     slow only.
    ///   - failureLifetime: how long nothing is tried again: pages ask for the state every few seconds.
    init(path: String, lifetime: Duration = .seconds(600), failureLifetime: Duration = .seconds(60)) {
        self.path = path
        self.lifetime = lifetime
        self.failureLifetime = failureLifetime
    }

    /// - Parameters:
    ///   - engine: what tells the engine and its settings from others.
    ///   - image: what is tried; with another one a failure means nothing.
    ///   - probe: tries the passages; what it throws is not remembered.
    func passage(
        of engine: String,
        with image: String,
        _ probe: @escaping @Sendable () async throws -> Finding
    ) async throws -> DockerPassage {
        guard let known = known[engine] else {
            if try PrivateFile.read(path, limit: 4096) == engine { return .socket }
            if let failure = failures[engine], failure.value.image == image, .now < failure.time + failureLifetime {
                throw failure.value.error
            }
            return try await find(engine, image, probe)
        }
        if known.value != .socket, known.time + lifetime < .now {
            self.known[engine]?.time = .now
            // Nobody waits for it, as what is known works. It ends by itself, like any probe.
            Task { try? await find(engine, image, probe) }
        }
        return known.value
    }

    @discardableResult
    private func find(
        _ engine: String,
        _ image: String,
        _ probe: @escaping @Sendable () async throws -> Finding
    ) async throws -> DockerPassage {
        switch try await tasks.value(of: engine, probe) {
        case .success(let passage):
            known[engine] = (passage, .now)
            // When it cannot be written, it is tried again.
            if passage == .socket { try? PrivateFile.write(engine, to: path) }
            return passage
        case .failure(let error):
            failures[engine] = ((image, error), .now)
            throw error
        }
    }
}
