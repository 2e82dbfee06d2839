// SPDX-License-Identifier: Apache-2.0

/// Which passages have been found to work. The usual one is kept in a file, so that it is tried once and not at each start.
actor DockerPassages {
    private let path: String
    private let tasks = SharedTasks<String, DockerPassage>()
    private var known: [String: DockerPassage] = [:]

    init(path: String) {
        self.path = path
    }

    /// - Parameters:
    ///   - engine: what tells the engine and its settings from others.
    ///   - probe: tries the passages.
    func passage(
        of engine: String,
        _ probe: @escaping @Sendable () async throws -> DockerPassage
    ) async throws -> DockerPassage {
        if let known = known[engine] { return known }
        if try PrivateFile.read(path, limit: 4096) == engine { return .socket }
        let passage = try await tasks.value(of: engine, probe)
        known[engine] = passage
        // When it cannot be written, it is tried again.
        if passage == .socket { try? PrivateFile.write(engine, to: path) }
        return passage
    }
}
