// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Keeps sandboxes with a network from this machine's services and from what clouds tell their machines.
///
/// A client of an engine cannot do that, as engines forward and do not filter what is for the machine itself. So the
/// server does it where it may, and else the user can; rootless engines have networks from which the machine is out of reach.
enum DockerFirewall {
    /// For all networks of all servers, by the names of their interfaces. What this machine asks of a sandbox is answered,
    /// and Podman's name server, which is on the bridge, answers.
    static let rules: [(program: String, table: String, chain: String, rule: [String])] = [
        ("iptables", "filter", "INPUT", ["-i", "dsc-+", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]),
        ("iptables", "filter", "INPUT", ["-i", "dsc-+", "-p", "udp", "--dport", "53", "-j", "ACCEPT"]),
        ("iptables", "raw", "PREROUTING", ["-i", "dsc-+", "-d", "169.254.0.0/16", "-j", "DROP"]),
        ("ip6tables", "filter", "INPUT", ["-i", "dsc-+", "-p", "tcp", "-j", "DROP"]),
    ]

    /// Whether this process may and can close the machine to what is behind that interface.
    static func isOurs(interface: String) -> Bool { geteuid() == 0 && if_nametoindex(interface) != 0 }

    /// Adds the rules that are missing; false when one cannot be added. Throws only when cancelled.
    ///
    /// - Parameter prefix: a command that runs others where the engine's networks are.
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
