// SPDX-License-Identifier: Apache-2.0

package import DiscobotModel

/// What a provider has besides whose sandboxes are kept by an engine that comes and goes by itself, and that keeps what
/// it was not told to remove.
package protocol SandboxEngine: Sendable {
    /// Whether the engine answers, each time that it begins or ceases to, and now and then while it does. A slow reader
    /// gets the newest.
    func presence() -> AsyncStream<SandboxEnginePresence>
    /// Follows the engine until it is cancelled. Only meanwhile its presence is told, and the changes of sandboxes that are
    /// not this server's own doing. It is run once.
    func run() async
    /// Removes what this server has made on the engine for sessions and projects that are gone, and nothing else. Throws
    /// `SandboxError`, after all has been tried.
    func removeLeftovers(_ owners: SandboxOwners) async throws
}

package enum SandboxEnginePresence: Sendable, Equatable {
    case answers
    case absent(SandboxError)
}

/// Tells who is still there.
package struct SandboxOwners: Sendable {
    package let hasSession: @Sendable (ID<Session>) async throws -> Bool
    package let hasProject: @Sendable (ID<Project>) async throws -> Bool

    package init(
        hasSession: @escaping @Sendable (ID<Session>) async throws -> Bool,
        hasProject: @escaping @Sendable (ID<Project>) async throws -> Bool
    ) {
        self.hasSession = hasSession
        self.hasProject = hasProject
    }
}
