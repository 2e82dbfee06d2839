// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging

/// Keeps sandboxes with a network from this machine's services and from what clouds tell their machines.
///
/// A client of an engine cannot do that, as engines forward and do not filter what is for the machine itself. So the
/// server does it where it may, and else the user can; rootless engines have networks from which the machine is out of reach.
actor DockerFirewall {
    /// For all networks of all servers, by the names of their interfaces. What this machine asks of a sandbox is answered,
    /// and Podman's name server, which is on the bridge, answers.
    static let rules: [(program: String, table: String, chain: String, rule: [String])] = [
        ("iptables", "filter", "INPUT", ["-i", "dsc-+", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]),
        ("iptables", "filter", "INPUT", ["-i", "dsc-+", "-p", "udp", "--dport", "53", "-j", "ACCEPT"]),
        ("iptables", "raw", "PREROUTING", ["-i", "dsc-+", "-d", "169.254.0.0/16", "-j", "DROP"]),
        ("ip6tables", "filter", "INPUT", ["-i", "dsc-+", "-p", "tcp", "-j", "DROP"]),
    ]

    /// A command that runs others where the engine's networks are; empty where that is here, if anywhere.
    private let prefix: [String]
    private let logger: Logger
    /// All who need the rules wait for one attempt to set them.
    private let attempts = SharedTasks<Int, Void>()
    /// Whether the rules have been set since the engine has begun to answer, and else when they could not be.
    private var isSet = false
    private var lastFailure: ContinuousClock.Instant?
    /// Sandboxes do not wait for another attempt each time that one starts.
    private static let pause = Duration.seconds(60)
    /// Whether they could not be, which the log says once.
    private var isOpen = false

    init(prefix: [String], logger: Logger) {
        self.prefix = prefix
        self.logger = logger
    }

    /// Sets the rules if this process may and can close the machine to what is behind that interface. It costs something
    /// once, until `renew`; where it fails, the log says so.
    func close(to interface: String) async {
        guard !isSet, lastFailure.map({ $0 + Self.pause < .now }) ?? true, Self.isOurs(interface: interface, prefix)
        else { return }
        // Only a caller that is cancelled does not get that far.
        try? await attempts.value(of: 0) { [self] in
            let isClosed = try await Self.close(prefix)
            await note(isClosed)
        }
    }

    private func note(_ isClosed: Bool) {
        isSet = isClosed
        lastFailure = isClosed ? nil : .now
        defer { isOpen = !isClosed }
        guard !isClosed, !isOpen else { return }
        logger.warning(
            """
            sandboxes with a network reach this machine's services and the metadata of its cloud, as the rules of the \
            firewall could not be set; the README has them
            """
        )
    }

    /// Sets the rules again, for networks that are there already.
    func renew(_ interfaces: [String]) async {
        isSet = false
        lastFailure = nil
        for interface in interfaces { await close(to: interface) }
    }

    private static func isOurs(interface: String, _ prefix: [String]) -> Bool {
        geteuid() == 0 && (!prefix.isEmpty || if_nametoindex(interface) != 0)
    }

    /// Adds the rules that are missing; false when one cannot be added. Throws only when cancelled.
    static func close(_ prefix: [String] = []) async throws -> Bool {
        for (program, table, chain, rule) in rules {
            func run(_ verb: String) async throws -> Bool {
                let command = prefix + [program, "-w", "-t", table, verb, chain] + rule
                return try await LocalCommand.output(command[0], Array(command.dropFirst()), within: .seconds(10))
                    != nil
            }
            if try await run("-C") { continue }
            guard try await run("-I") else { return false }
        }
        return true
    }
}
