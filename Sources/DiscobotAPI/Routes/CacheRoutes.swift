// SPDX-License-Identifier: Apache-2.0

import DiscobotHTTP
import DiscobotModel
import DiscobotSandbox
import DiscobotServices
import Hummingbird

/// What the sandboxes of a project share.
struct CacheRoutes: Sendable {
    let sandboxes: SandboxService

    var group: EndpointGroup {
        EndpointGroup(
            name: "Cache",
            endpoints: [
                .project(.get, "/cache", "What the sandboxes of a project share", use: list),
                .project(.delete, "/cache", "Remove what they share", role: .admin, use: delete),
            ]
        )
    }

    /// As a Docker Engine describes a volume.
    private struct VolumeResponse: Encodable {
        private enum CodingKeys: String, CodingKey {
            case name = "Name"
            case driver = "Driver"
            case mountpoint = "Mountpoint"
            case createdAt = "CreatedAt"
            case labels = "Labels"
        }

        let name: String
        let driver: String
        let mountpoint: String
        let createdAt: Timestamp?
        let labels: [String: String]

        init(_ volume: CacheVolume) {
            name = volume.name
            driver = volume.driver
            mountpoint = volume.mountpoint
            createdAt = volume.createdAt
            labels = volume.labels
        }
    }

    private struct ListResponse: Encodable {
        let volumes: [VolumeResponse]
    }

    private func list(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(ListResponse(volumes: await sandboxes.caches(of: project).map(VolumeResponse.init)))
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await sandboxes.removeCaches(of: project)
        return try .success()
    }
}
