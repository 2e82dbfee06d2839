// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import NIOHTTP1

/// A volume of an engine.
struct DockerVolume: Decodable, Sendable {
    let name: String
    let driver: String
    let mountpoint: String
    let createdAt: String?
    let labels: [String: String]?

    private enum CodingKeys: String, CodingKey {
        case name = "Name"
        case driver = "Driver"
        case mountpoint = "Mountpoint"
        case createdAt = "CreatedAt"
        case labels = "Labels"
    }
}

extension DockerClient {
    /// One that is there stays as it is; returns it.
    ///
    /// - Parameter megabytes: its size; nil for no limit.
    func createVolume(_ name: String, labels: [String: String], megabytes: Int? = nil) async throws -> DockerVolume {
        var settings: [(String, JSONValue)] = [("Name", .string(name)), ("Labels", .labels(labels))]
        if let megabytes { settings.append(("DriverOpts", ["size": .string("\(megabytes)m")])) }
        let volume: DockerVolume
        do {
            volume = try await value(.POST, "/volumes/create", body: .json(.object(settings)))
        } catch let error as DockerError where error.isRefusal {
            // Of several who make it at once, Podman refuses all but one.
            guard let made = try await self.volume(name) else { throw error }
            return made
        }
        // Engines that have just begun tell no labels here of one that was there.
        return volume.labels == labels ? volume : try await self.volume(name) ?? volume
    }

    /// One that is not there is removed already; one that is in use is refused with 409.
    func removeVolume(_ name: String) async throws {
        do {
            _ = try await call(.DELETE, "/volumes/\(name)", within: .seconds(120))
        } catch let error as DockerError where error.isNotFound {
            return
        }
    }

    /// Nil when there is none.
    func volume(_ name: String) async throws -> DockerVolume? {
        do {
            return try await value(.GET, "/volumes/\(name)")
        } catch let error as DockerError where error.isNotFound {
            return nil
        }
    }

    /// All with these labels.
    func volumes(labels: [String]) async throws -> [DockerVolume] {
        struct Answer: Decodable, Sendable {
            let volumes: [DockerVolume]?

            private enum CodingKeys: String, CodingKey {
                case volumes = "Volumes"
            }
        }
        let query = [("filters", Self.filters(["label": labels]))]
        let answer: Answer = try await value(.GET, "/volumes", query: query, upTo: Self.maximumList)
        return answer.volumes?.filter { Self.has($0.labels, labels) } ?? []
    }
}

extension JSONValue {
    static func labels(_ labels: [String: String]) -> JSONValue {
        .object(labels.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
    }

    /// Without spaces, and always the same for equal values.
    var compact: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? String(decoding: encoder.encode(self), as: UTF8.self)) ?? ""
    }
}
