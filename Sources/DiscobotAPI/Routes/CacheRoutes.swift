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
                .project(.get, "/cache", "The cache volumes of a project", use: list),
                .project(.delete, "/cache", "Empty the cache of a project", role: .admin, use: delete),
            ]
        )
    }

    /// Named as Docker names what a volume has.
    private struct VolumeResponse: Encodable {
        let cache: SandboxCache

        private enum CodingKeys: String, CodingKey {
            case name = "Name"
            case driver = "Driver"
            case path = "Mountpoint"
            case createdAt = "CreatedAt"
            case labels = "Labels"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(cache.name, forKey: .name)
            try container.encode(cache.driver, forKey: .driver)
            try container.encode(cache.path, forKey: .path)
            try container.encodeIfPresent(cache.createdAt, forKey: .createdAt)
            try container.encode(cache.labels, forKey: .labels)
        }
    }

    private struct ListResponse: Encodable {
        let volumes: [VolumeResponse]
    }

    private func list(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try .json(ListResponse(volumes: await sandboxes.caches(of: project).map(VolumeResponse.init)))
    }

    private func delete(_ request: APIRequest, project: ID<Project>) async throws -> Response {
        try await sandboxes.emptyCache(of: project)
        return try .success()
    }
}
