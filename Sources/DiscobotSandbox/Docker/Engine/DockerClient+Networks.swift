// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOHTTP1

/// A network of an engine.
struct DockerNetwork: Decodable, Sendable {
    let id: String
    let name: String
    let labels: [String: String]?

    private enum CodingKeys: String, CodingKey {
        case id = "Id"
        case name = "Name"
        case labels = "Labels"
    }
}

extension DockerClient {
    /// Nil when there is none.
    func network(_ name: String) async throws -> DockerNetwork? {
        do {
            return try await value(.GET, "/networks/\(name)")
        } catch let error as DockerError where error.isNotFound {
            return nil
        }
    }

    /// Makes a bridge; one that has come into being meanwhile will do.
    func createNetwork(_ name: String, options: [String: String], labels: [String: String]) async throws {
        let settings: JSONValue = [
            "Name": .string(name), "Driver": "bridge", "CheckDuplicate": true, "Options": .labels(options),
            "Labels": .labels(labels),
        ]
        do {
            _ = try await call(.POST, "/networks/create", body: .json(settings), within: .seconds(60))
        } catch let error as DockerError where error.isConflict {
            return
        }
    }

    /// One that is not there is removed already, and one that somebody's container is connected to stays.
    func removeNetwork(_ name: String) async throws {
        do {
            _ = try await call(.DELETE, "/networks/\(name)", within: .seconds(60))
        } catch let error as DockerError where error.isNotFound || error.isForbidden {
            return
        }
    }

    /// All with these labels.
    func networks(labels: [String]) async throws -> [DockerNetwork] {
        let query = [("filters", Self.filters(["label": labels]))]
        let found: [DockerNetwork] = try await value(.GET, "/networks", query: query, upTo: Self.maximumList)
        return found.filter { Self.has($0.labels, labels) }
    }
}
