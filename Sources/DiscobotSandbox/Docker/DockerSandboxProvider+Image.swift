// SPDX-License-Identifier: Apache-2.0

/// What is fetched in the background after the server's start.
extension DockerSandboxProvider: SandboxImageSource {
    package var imageName: String { configuration.image }

    package func isImagePresent() async throws -> Bool {
        try await translating { try await images.isPresent() }
    }

    package func pullImage(_ report: @escaping @Sendable (SandboxImageProgress) -> Void) async throws {
        try await translating { try await images.fetch(report) }
    }
}
