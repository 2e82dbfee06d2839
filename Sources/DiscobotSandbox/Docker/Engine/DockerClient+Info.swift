// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOHTTP1
import Synchronization

/// What an engine says of itself.
struct DockerInfo: Decodable, Sendable, Equatable {
    /// Stays the same as long as its data does.
    let id: String?
    let operatingSystem: String?
    let version: String?
    /// As `name=rootless`, further options behind commas.
    let securityOptions: [String]
    /// What can run containers, by name.
    let runtimes: Set<String>
    let processors: Int
    /// Of Podman alone.
    let buildahVersion: String?

    private enum CodingKeys: String, CodingKey {
        case id = "ID"
        case operatingSystem = "OperatingSystem"
        case version = "ServerVersion"
        case securityOptions = "SecurityOptions"
        case runtimes = "Runtimes"
        case processors = "NCPU"
        case buildahVersion = "BuildahVersion"
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        id = try values.decodeIfPresent(String.self, forKey: .id)
        operatingSystem = try values.decodeIfPresent(String.self, forKey: .operatingSystem)
        version = try values.decodeIfPresent(String.self, forKey: .version)
        securityOptions = try values.decodeIfPresent([String].self, forKey: .securityOptions) ?? []
        runtimes = Set(try values.decodeIfPresent([String: JSONValue].self, forKey: .runtimes)?.keys.map { $0 } ?? [])
        processors = max(1, try values.decodeIfPresent(Int.self, forKey: .processors) ?? 1)
        buildahVersion = try values.decodeIfPresent(String.self, forKey: .buildahVersion)
    }

    var isPodman: Bool { buildahVersion != nil }
    /// Its root is its user, and its other users are such as nobody else has.
    var isRootless: Bool { has("rootless") }
    /// The users of its containers are others than those of the same number.
    var isRemapped: Bool { has("userns") }
    var hasSELinux: Bool { has("selinux") }

    private func has(_ option: String) -> Bool {
        securityOptions.contains { $0.split(separator: ",").first == "name=\(option)" }
    }
}

extension DockerClient {
    /// What the engine says of itself; asked once for as long as it is there.
    func info() async throws -> DockerInfo {
        if let known = knownInfo.withLock({ $0 }) { return known }
        // It takes an engine longer than most, so those who ask at once wait for one answer.
        return try await infos.value(of: 0) { [self] in
            let info: DockerInfo = try await value(.GET, "/info", within: .seconds(60))
            knownInfo.withLock { $0 = info }
            return info
        }
    }

    /// Another engine may have come while nobody asked.
    func forgetInfo(unlessOf version: String) {
        knownInfo.withLock { known in
            if known?.version != version { known = nil }
        }
    }
}
