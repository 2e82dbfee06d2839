// SPDX-License-Identifier: Apache-2.0

import DiscobotGit
import FoundationEssentials

/// Where things are on the data volume.
struct DataDirectories: Sendable {
    let root: String
    /// What the project's sandboxes share; it is on another volume, and need not be there.
    let cache: String

    var workspace: String { "\(root)/workspace" }
    /// The HOME of agents.
    var home: String { "\(root)/home" }
    var agent: String { "\(root)/agent" }
    var journal: String { "\(agent)/journal" }
    /// Locked by the runtime that uses the data.
    var lock: String { "\(agent)/lock" }
    /// Git's configuration for what the runtime does itself.
    var gitConfiguration: String { "\(agent)/gitconfig" }
    /// What is known of hooks, and what they wrote.
    var hooks: String { "\(agent)/hooks" }
    /// What is needed while commits are moved; names that begin with it, too.
    var rebase: String { "\(agent)/rebase" }
    /// For a copy of git's index.
    var newIndex: String { "\(agent)/\(Self.indexPrefix)\(UUID().uuidString)" }
    private static let indexPrefix = "index."
    private var drivers: String { "\(agent)/drivers" }

    /// Makes what is missing.
    func create() throws {
        try make(root, mode: 0o755)
        for directory in [home, agent, journal, hooks, drivers] { try make(directory, mode: 0o700) }
    }

    /// Where a driver keeps what it must know, whether it is there or not.
    func state(_ agentType: String) -> String { "\(drivers)/\(agentType)" }

    /// Where a driver keeps what it must know; made when it is missing.
    func state(of agentType: String) throws -> String {
        let directory = state(agentType)
        try make(directory, mode: 0o700)
        return directory
    }

    /// Removes the copies of git's index and the half written files that a runtime that was killed has left.
    func removeLeftovers() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: agent)
        where [Self.indexPrefix, WorkingDirectory.stagingPrefix].contains(where: name.hasPrefix) {
            try FileManager.default.removeItem(atPath: "\(agent)/\(name)")
        }
    }

    func removeStates() throws {
        try FileManager.default.removeItem(atPath: drivers)
        try make(drivers, mode: 0o700)
    }

    private func make(_ path: String, mode: Int) throws {
        guard !FileManager.default.fileExists(atPath: path) else { return }
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: mode]
        )
    }
}
