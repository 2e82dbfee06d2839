// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import Glibc
import NIOCore

/// The addresses of proxies in front of the server, whose word on where a request comes from is believed.
package struct TrustedProxies: Sendable {
    private let networks: [(bytes: [UInt8], bits: Int)]

    /// Throws `invalidArgument`.
    ///
    /// - Parameter list: addresses, and networks such as `10.0.0.0/8`.
    package init(_ list: [String]) throws {
        networks = try list.map { text in
            guard let network = Self.network(text) else {
                throw ServerError.invalidArgument(
                    "TRUSTED_PROXIES: \(text) is neither an address nor a network such as 10.0.0.0/8"
                )
            }
            return network
        }
    }

    private static func network(_ text: String) -> (bytes: [UInt8], bits: Int)? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = bytes(of: String(parts[0])) else { return nil }
        guard parts.count == 2 else { return (bytes, bytes.count * 8) }
        guard let bits = Int(parts[1]), (0...bytes.count * 8).contains(bits) else { return nil }
        return (bytes, bits)
    }

    /// Four or sixteen; an IPv4 address that is written as one of IPv6 has four.
    private static func bytes(of address: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, address, &bytes) == 1 { return Array(bytes.prefix(4)) }
        guard inet_pton(AF_INET6, address, &bytes) == 1 else { return nil }
        let isMapped = bytes.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return isMapped ? Array(bytes.dropFirst(12)) : bytes
    }

    func contains(_ peer: SocketAddress?) -> Bool {
        guard let address = peer?.ipAddress, let bytes = Self.bytes(of: address) else { return false }
        return networks.contains { network in
            network.bytes.count == bytes.count
                && (0..<network.bits).allSatisfy { bit in
                    (bytes[bit / 8] ^ network.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
                }
        }
    }
}
