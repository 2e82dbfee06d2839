// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOCore
import Testing

@testable import DiscobotAPI

/// Which peers may say where a request comes from.
struct TrustedProxiesTests {
    @Test(
        arguments: [
            ("127.0.0.1", true), ("127.9.9.9", true), ("128.0.0.1", false), ("10.3.255.1", true), ("10.4.0.1", false),
            ("::1", true), ("::2", false), ("::ffff:10.0.0.1", true), ("fd00::5", true), ("fe00::5", false),
            ("192.0.2.7", true), ("192.0.2.8", false),
        ]
    )
    func `addresses are compared by their networks`(address: String, isTrusted: Bool) throws {
        let proxies = try TrustedProxies(["127.0.0.0/8", "::1", "10.0.0.0/14", "fd00::/8", "192.0.2.7"])
        let peer = try SocketAddress(ipAddress: address, port: 1)
        #expect(proxies.contains(peer) == isTrusted)
        #expect(!proxies.contains(nil))
        let none = try TrustedProxies([])
        #expect(!none.contains(peer))
    }

    @Test(arguments: ["", "proxy", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/-1", "none"])
    func `what is no address is refused by name`(text: String) throws {
        let error = #expect(throws: ServerError.self) { try TrustedProxies([text]) }
        #expect(error?.message.hasPrefix("TRUSTED_PROXIES: ") == true)
    }
}
