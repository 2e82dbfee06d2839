// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The table of drivers by agent type.
package struct AgentDrivers: Sendable {
    private let table: [String: any AgentDriver]

    /// - Parameter strays: where drivers run their programs; see ``AgentProcess``.
    package init(strays: StrayProcesses) {
        table = [
            "claude-code": ClaudeCodeDriver(strays: strays),
            "shell": ShellDriver(strays: strays),
        ]
    }

    /// Removes what turns of a runtime that was killed have left.
    func removeLeftovers(_ directories: DataDirectories) {
        for (type, driver) in table { driver.removeLeftovers(stateDirectory: directories.state(type)) }
    }

    /// Throws `invalidArgument` for a type that nobody drives.
    package func driver(of agentType: String) throws -> any AgentDriver {
        guard let driver = table[agentType] else {
            throw ServerError.invalidArgument("unknown agent type: \(agentType)")
        }
        return driver
    }
}
