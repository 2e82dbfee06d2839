// SPDX-License-Identifier: Apache-2.0

package import DiscobotSandbox
package import DiscobotServices
import Foundation
package import Logging

/// Everything about a server that can be chosen.
package struct ServerOptions: Sendable {
    package var host = "127.0.0.1"
    /// 0 lets the system choose a free port.
    package var port = 3001
    /// Where services have addresses with their names in the path; nil for nowhere, 0 for a free port.
    package var previewPort: Int?
    /// How long to wait at start for a port or a database that another server still holds.
    package var startTimeout: Duration = .seconds(120)
    /// Origins of web pages that may call the server; `*` stands for any part of a host name.
    package var corsOrigins = ["http://*.localhost:3001", "http://localhost:3000", "http://*.localhost:3000"]
    /// Addresses and networks of proxies in front, which may say where a request comes from.
    package var trustedProxies = ["127.0.0.0/8", "::1"]
    /// Whether the log tells what becomes of each request with an origin.
    package var isCORSDebugEnabled = false
    /// How often a stream with nothing to say shows that it is alive.
    package var keepAliveInterval: Duration = .seconds(15)
    package var databasePath: String
    /// Where remote repositories are cloned to.
    package var workspaceDirectory: String
    package var areSuggestionsEnabled = false
    package var docker: DockerSandboxProvider.Configuration
    package var isLocalProviderEnabled = true
    package var local: LocalSandboxProvider.Configuration
    /// What each sandbox may use.
    package var limits = SandboxSpecification.Limits(memoryMegabytes: 8192, processes: 4096)
    package var isDispatcherEnabled = true
    package var dispatcher = JobDispatcher.Settings()
    package var maxJobAttempts = 3
    package var upkeep = SessionUpkeep.Settings()
    /// 64 hexadecimal digits; nil for a key that is made once and kept beside the database.
    package var encryptionKey: String?
    /// Where agents' keys are looked for.
    package var agentEnvironment: [String: String] = [:]
    /// Used instead of those that this machine offers; for tests.
    package var providers: [any SandboxProvider]?
    package var logLevel = Logger.Level.info

    /// What `~` stands for in the paths of requests.
    package var homeDirectory = NSHomeDirectory()

    /// What somebody should know who has the server listen for others; nil where only this machine gets there.
    var exposureWarning: String? {
        guard !["localhost", "::1", "[::1]"].contains(host), !host.hasPrefix("127.") else { return nil }
        return
            "there is no authentication, so whoever reaches \(host) has all that the server has, and so have agents in "
            + "containers unless a firewall keeps them away; set HOST=127.0.0.1, or see the README on what docker isolates"
    }

    /// Where the server keeps its own encryption key.
    var keyFile: String { (databasePath as NSString).deletingLastPathComponent + "/encryption.key" }

    package init(databasePath: String, workspaceDirectory: String) {
        self.databasePath = databasePath
        self.workspaceDirectory = workspaceDirectory
        let environment = ProcessInfo.processInfo.environment
        local = LocalSandboxProvider.Configuration(
            root: (databasePath as NSString).deletingLastPathComponent + "/sandboxes",
            agentBinary: Self.executableDirectory + "/discobot-agent",
            home: environment["HOME"] ?? NSHomeDirectory(),
            searchPath: environment["PATH"] ?? ""
        )
        docker = DockerSandboxProvider.Configuration(root: local.root + "/docker", agentBinary: local.agentBinary)
        local.hiddenPaths = [(databasePath as NSString).deletingLastPathComponent]
    }

    private static var executableDirectory: String {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (executable as NSString).deletingLastPathComponent
    }
}
