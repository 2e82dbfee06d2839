// SPDX-License-Identifier: Apache-2.0

import DiscobotAgentAPI
import DiscobotModel

/// What the sandbox tells the runtime.
package struct AgentOptions: Sendable {
    package var source: WorkspaceSource
    /// Salt and hash of the secret that callers must know; nil for none.
    package var secret: String?
    package var dataDirectory = "/.data"
    /// There is none where this is no directory.
    package var cacheDirectory = "/.data/cache"
    package var socket: String?
    package var port: Int?
    /// What agents' processes get, besides what is theirs alone.
    package var environment: [String: String]
    /// How often a stream with nothing to say says that.
    package var keepAlive = Duration.seconds(15)
    package var journalLimits = Journal.Limits()

    /// Reads the environment. Throws `invalidArgument` that names the variable that is wrong.
    package init(environment: [String: String]) throws {
        func text(_ variable: AgentVariable) -> String? {
            environment[variable.rawValue].flatMap { $0.isEmpty ? nil : $0 }
        }
        source = WorkspaceSource(
            path: text(.workspacePath) ?? "/.workspace",
            origin: text(.workspaceSource),
            commit: text(.workspaceCommit),
            sessionID: text(.sessionID) ?? "session"
        )
        secret = text(.secret)
        self.environment = environment
        if let path = text(.dataDirectory) { dataDirectory = path }
        if let path = text(.cacheDirectory) { cacheDirectory = path }
        socket = text(.socket)
        if let value = text(.port) {
            guard let number = Int(value), (1...65535).contains(number) else {
                throw ServerError.invalidArgument("PORT: must be a number from 1 to 65535")
            }
            port = number
        }
        if let value = text(.keepAlive) {
            guard let seconds = Double(value), seconds >= 0.001, seconds <= 30 else {
                throw ServerError.invalidArgument("DISCOBOT_KEEP_ALIVE: must be a number of seconds from 0.001 to 30")
            }
            keepAlive = .seconds(seconds)
        }
        guard socket != nil || port != nil else {
            throw ServerError.invalidArgument("DISCOBOT_SOCKET or PORT: one of them must say where to serve")
        }
        guard [dataDirectory, cacheDirectory, source.path].allSatisfy({ $0.hasPrefix("/") }) else {
            throw ServerError.invalidArgument(
                "DISCOBOT_DATA_DIR, DISCOBOT_CACHE_DIR and WORKSPACE_PATH: must be absolute paths"
            )
        }
    }
}
