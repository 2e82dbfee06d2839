// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging

/// Keeps sandboxes with a network from this machine's services and from what clouds tell their machines.
///
/// A client of an engine cannot do that, as engines forward and do not filter what is for the machine itself. So the
/// server does it where it may, and else the user can; rootless engines have networks from which the machine is out of reach.
actor DockerFirewall {
    typealias Rule = (program: String, table: String, chain: String, rule: [String])

    /// For all networks of all servers, by the names of their interfaces. What this machine asks of a sandbox is answered.
    /// Podman's name server is on the bridge; it answers. IPv6 needs its own protocol to find neighbours.
    ///
    /// With iptables, Podman's netavark no longer keeps networks apart once a container has left one of them, until the next
    /// one starts (seen in 1.4, and in the source of 1.17). Its rules are in another table, so none gets before this one.
    static func rules(isPodman: Bool) -> [Rule] {
        let podman: [Rule] = [
            ("iptables", "filter", "INPUT", ["-i", "dsc-+", "-p", "udp", "--dport", "53", "-j", "ACCEPT"]),
            ("iptables", "mangle", "FORWARD", ["-i", "dsc-+", "-o", "dsc-+", "-j", "DROP"]),
        ]
        return [("iptables", "filter", "INPUT", ["-i", "dsc-+", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"])]
            + (isPodman ? podman : [])
            + [
                ("iptables", "raw", "PREROUTING", ["-i", "dsc-+", "-d", "169.254.0.0/16", "-j", "DROP"]),
                ("ip6tables", "filter", "INPUT", ["-i", "dsc-+", "!", "-p", "ipv6-icmp", "-j", "DROP"]),
            ]
    }

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
    /// How long iptables waits for its lock, in seconds.
    private static let waiting = ["-w", "10"]
    /// How long one program may take, with that.
    private static let patience = Duration.seconds(20)
    /// Whether they could not be, which the log says once.
    private var isOpen = false

    init(prefix: [String], logger: Logger) {
        self.prefix = prefix
        self.logger = logger
    }

    /// Sets the rules if the interface is this machine's. It costs something once, until `forget`; where it fails, as for
    /// want of rights, the log says so.
    func close(to interface: String, isPodman: Bool) async {
        guard !isSet, lastFailure.map({ $0 + Self.pause < .now }) ?? true, Self.isOurs(interface: interface, prefix)
        else { return }
        // Only a caller that is cancelled does not get that far.
        try? await attempts.value(of: 0) { [self] in
            let isClosed = try await Self.close(prefix, isPodman: isPodman)
            await note(isClosed)
        }
    }

    /// Takes the rules for lost, until they are set again.
    func forget() {
        isSet = false
        lastFailure = nil
    }

    private func note(_ isClosed: Bool) {
        isSet = isClosed
        lastFailure = isClosed ? nil : .now
        defer { isOpen = !isClosed }
        guard !isClosed, !isOpen else { return }
        logger.warning(
            """
            sandboxes with a network reach services of this machine that listen on all addresses and the metadata of its \
            cloud, and with Podman each other while others stop, unless somebody has closed them: the rules of the \
            firewall could not be set; the README has them
            """
        )
    }

    private static func isOurs(interface: String, _ prefix: [String]) -> Bool {
        !prefix.isEmpty || if_nametoindex(interface) != 0
    }

    /// Whether this process may set rules.
    static func mayClose() async -> Bool {
        let command = waiting + ["-t", "filter", "-S", "INPUT"]
        return (try? await LocalCommand.output("iptables", command, within: patience)) != nil
    }

    /// Whether the networks of an engine are this machine's, as far as its interfaces tell.
    static func isOpen(to engine: DockerInfo, at address: DockerAddress, interfaces: [String]) -> Bool {
        guard !engine.isRootless else { return false }
        if case .tcp(let host, _, _, _) = address, !["localhost", "127.0.0.1", "[::1]"].contains(host) { return false }
        let usual = engine.isPodman ? "podman" : "docker"
        return interfaces.contains { $0.hasPrefix(usual) || $0.hasPrefix("dsc-") }
    }

    /// Adds the rules that are missing; false when one cannot be added. Throws only when cancelled.
    static func close(_ prefix: [String] = [], isPodman: Bool) async throws -> Bool {
        for (program, table, chain, rule) in rules(isPodman: isPodman) {
            func run(_ verb: String) async throws -> Int? {
                let command = prefix + [program] + Self.waiting + ["-t", table, verb, chain] + rule
                let arguments = Array(command.dropFirst())
                return try await LocalCommand.result(of: command[0], arguments, within: Self.patience)?.exitCode
            }
            switch try await run("-C") {
            case 0: continue
            case 1: guard try await run("-I") == 0 else { return false }
            // It may be there or not.
            default: return false
            }
        }
        return true
    }
}

extension DockerSandboxProvider {
    /// What sandboxes can reach of this machine because this process may not close it to them, and what helps; nil when
    /// there is nothing to say.
    package func exposure() async -> ProviderState.Problem? {
        guard configuration.network == nil, let engine = try? await client.info(),
            DockerFirewall.isOpen(to: engine, at: client.address, interfaces: Self.interfaces),
            await !DockerFirewall.mayClose()
        else { return nil }
        return ProviderState.Problem(
            reason:
                "unless somebody has closed them, sandboxes with the network internet can reach services of this machine "
                + "that listen on all addresses" + (engine.isPodman ? ", and each other while others stop" : "")
                + ": the server cannot set the rules of its firewall",
            remedy: "Set those of the README (What docker isolates) after each start of the machine."
        )
    }

    private static var interfaces: [String] {
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var names: [String] = []
        var next = list
        while next.pointee.if_index != 0, let name = next.pointee.if_name {
            names.append(String(cString: name))
            next += 1
        }
        return names
    }
}
