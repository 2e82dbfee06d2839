// SPDX-License-Identifier: Apache-2.0

import Logging

/// What services and hooks need to run.
struct ProgramContext: Sendable {
    let directories: DataDirectories
    let workingCopy: WorkingCopy
    /// The runtime's, which holds no keys.
    let environment: [String: String]
    let sessionID: String
    let strays: StrayProcesses
    let logger: Logger

    /// How to run a file of the working copy.
    ///
    /// - Parameters:
    ///   - path: relative to the working copy.
    ///   - variables: what its environment holds besides.
    func command(_ path: String, _ variables: [String: String]) -> AgentProcess.Command {
        var environment = TurnSecrets().environment(base: environment, home: directories.home)
        environment["DISCOBOT_SESSION_ID"] = sessionID
        environment["DISCOBOT_WORKSPACE"] = directories.workspace
        return AgentProcess.Command(
            arguments: ["\(directories.workspace)/\(path)"],
            environment: environment.merging(variables) { $1 },
            workingDirectory: directories.workspace
        )
    }
}
