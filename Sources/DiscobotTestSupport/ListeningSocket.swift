// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A TCP port of 127.0.0.1 that is taken until it is closed.
package struct ListeningSocket: Sendable {
    package let port: Int
    private let descriptor: Int32

    package init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // Not for the servers that tests start.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 1) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw Shell.Failed(description: "no free port") }
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    /// Blocks until somebody connects, whom it leaves without an answer.
    package func waitForConnection() {
        _ = accept(descriptor, nil, nil)
    }

    package func close() {
        Glibc.close(descriptor)
    }
}
