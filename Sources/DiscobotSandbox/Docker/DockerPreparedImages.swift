// SPDX-License-Identifier: Apache-2.0

/// What sandboxes are made of: the image of the settings, with what each of them would have to be given otherwise.
struct DockerPreparedImage: Sendable {
    let name: String
    /// Who its programs are when it is used as it is.
    let user: DockerUser
}

/// Remembers the image that is prepared, so that the engine is not asked for each sandbox, and has it prepared once for all
/// who wait for it.
actor DockerPreparedImages {
    private let tasks = SharedTasks<String, DockerPreparedImage>()
    private var known: DockerPreparedImage?

    /// - Parameter find: looks for it, and makes it when there is none. It goes on when the caller gives up.
    func image(
        _ name: String,
        _ find: @escaping @Sendable () async throws -> DockerPreparedImage
    ) async throws -> DockerPreparedImage {
        if let known, known.name == name { return known }
        let image = try await tasks.value(of: name, find)
        known = image
        return image
    }

    /// Somebody has removed it.
    func forget() { known = nil }
}
