// SPDX-License-Identifier: Apache-2.0

import DiscobotAgent
import DiscobotHTTP
import DiscobotModel
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// The runtime inside every sandbox.
@main
struct DiscobotAgentCommand {
    private static let help = """
        discobot-agent runs a coding agent inside a sandbox and serves the agent API.

        It takes no arguments but --help and --version; the environment says what to do:
          DISCOBOT_SOCKET, PORT   where to serve: a unix socket, a TCP port, or both
          DISCOBOT_SECRET         salt and hash of the secret that callers must know
          DISCOBOT_DATA_DIR       where working copy, home and journal are kept (/.data)
          DISCOBOT_CACHE_DIR      what the sandboxes of a project share, if it is there (/.data/cache)
          WORKSPACE_PATH          the workspace's repository (/.workspace)
          WORKSPACE_SOURCE        the working copy's origin
          WORKSPACE_COMMIT        the commit that the working copy starts at (HEAD)
          DISCOBOT_KEEP_ALIVE     seconds after which a silent stream says that it is alive (15)
          SESSION_ID              names the branch when the workspace is on none that fits

        """

    static func main() async {
        switch CommandLine.arguments.dropFirst().first {
        case nil: await serve()
        case "--help", "-h": write(help, to: STDOUT_FILENO)
        case "--version": write("discobot-agent 0.1.0\n", to: STDOUT_FILENO)
        case .some(let argument):
            write("error: unknown argument: \(argument); see discobot-agent --help\n", to: STDERR_FILENO)
            exit(64)
        }
    }

    private static func serve() async {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let logger = Logger(label: "discobot-agent")
        do {
            let runtime = try await AgentRuntime(try AgentOptions(environment: environment), logger: logger)
            var configuration = ServiceGroupConfiguration(
                named: runtime.services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
            // A turn has two seconds to end, and its answer a moment to be read.
            configuration.maximumGracefulShutdownDuration = .milliseconds(2900)
            try await ServiceGroup(configuration: configuration).run()
        } catch is CancellationError {
            return
        } catch {
            write("error: \((error as? ServerError)?.message ?? "\(error)")\n", to: STDERR_FILENO)
            exit(1)
        }
    }

    private static var environment: [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            next += 1
        }
        return variables
    }

    private static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }
}
