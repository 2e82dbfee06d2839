// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// What is fetched in the background after the server's start.
extension DockerSandboxProvider: SandboxImageSource {
    package var imageName: String { configuration.image }

    package func isImagePresent() async throws -> Bool {
        try await translating { try await images.isPresent() }
    }

    package func pullImage(_ report: @escaping @Sendable (SandboxImageProgress) -> Void) async throws {
        try await translating { try await images.fetch(report) }
    }

    package func outdatedSandboxes() async throws -> [ID<Session>] {
        guard let server = try server.knownID(files) else { return [] }
        return try await translating {
            guard let current = try await images.current()?.id else { return [] }
            return try await client.containers(labels: [DockerLabel.of(server)]).compactMap { container in
                // Containers have the id of what was prepared of it.
                let image = container.labels?[DockerLabel.imageID] ?? container.image
                guard container.status == "running", image != current else { return nil }
                return container.labels?[DockerLabel.session].map { ID(rawValue: $0) }
            }
        }
    }
}
