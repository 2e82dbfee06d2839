// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import Glibc
import Synchronization

/// Sandboxes on this machine by bubblewrap, without a daemon.
package struct LocalSandboxProvider: SandboxProvider {
    package struct Configuration: Sendable {
        /// Where sandboxes keep what they need.
        package var root: String
        /// The runtime that every sandbox runs.
        package var agentBinary: String
        /// What sandboxes are shown of this machine besides the usual.
        package var extraPaths: [String] = []
        /// What they are never shown as part of a program.
        package var hiddenPaths: [String] = []
        /// Without, the runtime runs as a plain process with all that the server's user may do.
        package var isIsolated = true
        /// Where the user's programs are looked for.
        package var home: String
        /// As in PATH.
        package var searchPath: String
        /// Runs in place of the runtime; for tests.
        package var command: [String]?
        /// How long the runtime may take to end in order.
        package var endPatience: Duration = .seconds(5)

        package init(root: String, agentBinary: String, home: String, searchPath: String) {
            self.root = root
            self.agentBinary = agentBinary
            self.home = home
            self.searchPath = searchPath
        }
    }

    package let name = "local"
    let configuration: Configuration
    let files: LocalSandboxFiles
    let libraries = RuntimeLibraries()
    let queue = SandboxQueue()
    let feed: SandboxChangeFeed
    let watch: LocalSandboxWatch
    let trash = TrashCan()

    package init(_ configuration: Configuration) {
        self.configuration = configuration
        files = LocalSandboxFiles(root: configuration.root)
        feed = SandboxChangeFeed()
        watch = LocalSandboxWatch(feed: feed)
    }

    package func state() async -> ProviderState {
        if let problem = agentProblem { return ProviderState(version: nil, problem: problem) }
        guard configuration.isIsolated else { return .available(version: "not isolated") }
        if let problem = Self.bubblewrapProblem { return ProviderState(version: nil, problem: problem) }
        let version = try? await LocalCommand.output("bwrap", ["--version"], within: Self.patience)
        let attempt = ["--ro-bind", "/", "/"] + BubblewrapArguments.namespaces(.none) + ["--proc", "/proc", "true"]
        guard let version, (try? await LocalCommand.output("bwrap", attempt, within: Self.patience)) != nil else {
            return .unavailable(
                reason: "bubblewrap cannot create namespaces here",
                remedy: "Use bubblewrap 0.8.0 or later, and allow unprivileged user namespaces ("
                    + "\(Self.permissions))."
            )
        }
        return .available(version: version.split { $0 == " " || $0 == "\n" }.last.map { String($0) })
    }

    /// A busy machine may need seconds to start a program.
    private static let patience: Duration = .seconds(15)
    private static let permissions =
        "sysctl kernel.unprivileged_userns_clone=1, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0"
    /// A right that was there once is not asked for again.
    private static let canUnshare = Mutex(false)

    /// What keeps sandboxes from having the runtime.
    package var agentProblem: ProviderState.Problem? {
        guard configuration.command == nil, access(configuration.agentBinary, X_OK) != 0 else { return nil }
        return ProviderState.Problem(
            reason: "the runtime of sandboxes was not found at \(configuration.agentBinary)",
            remedy: "Put discobot-agent beside the server's executable, or name it in LOCAL_AGENT_BINARY."
        )
    }

    static var bubblewrapProblem: ProviderState.Problem? {
        guard LocalCommand.find("bwrap") == nil else { return nil }
        return ProviderState.Problem(
            reason: "bubblewrap (bwrap) was not found",
            remedy: "Install it (Debian: apt-get install bubblewrap), or set LOCAL_UNISOLATED=true to run agents as "
                + "plain processes that can do all that you can."
        )
    }

    /// What keeps sandboxes from having the network `internet`.
    package static func networkProblem() async -> ProviderState.Problem? {
        let instead = "or set the workspace's network to none or host."
        for (program, name) in [("slirp4netns", "slirp4netns"), ("ip", "iproute2"), ("unshare", "util-linux")]
        where LocalCommand.find(program) == nil {
            return ProviderState.Problem(
                reason: "\(program), which gives sandboxes the internet, was not found",
                remedy: "Install it (Debian: apt-get install \(name)), " + instead
            )
        }
        guard access("/dev/net/tun", R_OK | W_OK) == 0 else {
            return ProviderState.Problem(
                reason: "/dev/net/tun, which gives sandboxes the internet, cannot be used",
                remedy: "Load the module tun and let the server's user read and write it (chmod 666 /dev/net/tun), "
                    + instead
            )
        }
        guard await !mayUnshare() else { return nil }
        return ProviderState.Problem(
            reason: "unshare, which gives sandboxes the internet, cannot create namespaces here",
            remedy: "Allow unprivileged user namespaces (\(permissions)), " + instead
        )
    }

    /// Where the system allows namespaces to bubblewrap by name, this is refused all the same.
    private static func mayUnshare() async -> Bool {
        if canUnshare.withLock({ $0 }) { return true }
        let attempt = ["--user", "--map-root-user", "--net", "true"]
        let isAllowed = (try? await LocalCommand.output("unshare", attempt, within: patience)) != nil
        if isAllowed { canUnshare.withLock { $0 = true } }
        return isAllowed
    }
}

/// Empties the trash once: what earlier servers did not get to remove.
final class TrashCan: Sendable {
    private let isEmpty = Mutex(false)

    func empty(_ directory: String) {
        guard
            isEmpty.withLock({ isEmpty in
                defer { isEmpty = true }
                return !isEmpty
            })
        else { return }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        // Nobody waits for it. What cannot be removed now is tried again by the next server.
        Task {
            for name in names { try? await PrivateFile.removeTree("\(directory)/\(name)") }
        }
    }
}
