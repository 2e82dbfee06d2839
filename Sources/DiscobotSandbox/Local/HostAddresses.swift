// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The addresses by which programs on this machine can be reached.
enum HostAddresses {
    /// IPv4 only, as the networks of sandboxes have nothing else.
    static func all() -> [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var addresses: Set<String> = []
        var next = first
        while let entry = next?.pointee {
            if let address = entry.ifa_addr, Int32(address.pointee.sa_family) == AF_INET, let text = text(address) {
                addresses.insert(text)
            }
            next = entry.ifa_next
        }
        return addresses.filter { !$0.hasPrefix("127.") }.sorted()
    }

    private static func text(_ address: UnsafeMutablePointer<sockaddr>) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        guard getnameinfo(address, length, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST) == 0 else {
            return nil
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
