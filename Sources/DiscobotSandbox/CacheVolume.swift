// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// What the sandboxes of a project share: package caches and the like, which can be had again.
package struct CacheVolume: Sendable, Equatable {
    package let name: String
    package let driver: String
    /// Where it is on the machine that has it.
    package let mountpoint: String
    /// Nil where nobody has noted it.
    package let createdAt: Timestamp?
    package let labels: [String: String]

    package init(name: String, driver: String, mountpoint: String, createdAt: Timestamp?, labels: [String: String]) {
        self.name = name
        self.driver = driver
        self.mountpoint = mountpoint
        self.createdAt = createdAt
        self.labels = labels
    }
}

extension SandboxProvider {
    package func caches(of project: ID<Project>) async throws -> [CacheVolume]? { nil }
}
