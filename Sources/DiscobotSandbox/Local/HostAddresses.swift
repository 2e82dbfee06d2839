// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where programs with the network `internet` must not get: this machine, the networks that it is connected to, and
/// what clouds tell their machines. IPv4 only, as the networks of sandboxes have nothing else.
enum HostAddresses {
    /// An address and how many of its bits count.
    struct Network: Hashable, CustomStringConvertible {
        let address: UInt32
        let length: Int

        init(_ address: UInt32, length: Int) {
            self.length = length
            self.address = address & Self.mask(length)
        }

        var description: String {
            [24, 16, 8, 0].map { String(address >> $0 & 255) }.joined(separator: ".") + "/\(length)"
        }

        func contains(_ other: Network) -> Bool {
            length <= other.length && other.address & Self.mask(length) == address
        }

        private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~0 << (32 - UInt32(length)) }
    }

    /// Link-local addresses with the usual metadata service, those of other clouds, and groups of machines.
    private static let always = [
        Network(0xA9FE_0000, length: 16), Network(0x6464_64C8, length: 32), Network(0xA83F_8110, length: 32),
        Network(0xE000_0000, length: 4),
    ]
    /// The network that slirp4netns makes for a sandbox, and its name server.
    private static let own = Network(0x0A00_0200, length: 24)
    private static let nameServer = Network(0x0A00_0203, length: 32)

    /// As `1.2.3.4/32`. Throws `SandboxError` when they cannot be found out.
    static func closed() throws -> [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else {
            throw SandboxError(.startFailed, "the addresses of this machine cannot be found out")
        }
        defer { freeifaddrs(first) }
        var interfaces: [(address: UInt32, mask: UInt32)] = []
        var next = first
        while let entry = next?.pointee {
            if let address = number(entry.ifa_addr), address >> 24 != 127 {
                let isUp = entry.ifa_flags & UInt32(IFF_UP) != 0
                let isLoopback = entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0
                let mask = isUp && !isLoopback ? number(entry.ifa_netmask) : nil
                interfaces.append((address, mask ?? ~0))
            }
            next = entry.ifa_next
        }
        return closed(interfaces).map(\.description)
    }

    static func closed(_ interfaces: [(address: UInt32, mask: UInt32)]) -> [Network] {
        let networks = interfaces.flatMap { address, mask in
            let length = mask.nonzeroBitCount
            // A mask of a few bits is a tunnel's that takes all traffic, not a network beside this machine.
            return [Network(address, length: 32)] + (length < 8 ? [] : [Network(address, length: length)])
        }
        // The sandbox's own would be cut off; there slirp4netns answers alone for what is not a single machine.
        let usable = networks.filter { $0 != nameServer && ($0.length == 32 || !own.contains($0)) }
        return Set(always + usable).sorted { ($0.address, $0.length) < ($1.address, $1.length) }
    }

    /// In the machine's order of bytes; nil for what is not IPv4.
    private static func number(_ address: UnsafeMutablePointer<sockaddr>?) -> UInt32? {
        guard let address, Int32(address.pointee.sa_family) == AF_INET else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            UInt32(bigEndian: $0.pointee.sin_addr.s_addr)
        }
    }
}
