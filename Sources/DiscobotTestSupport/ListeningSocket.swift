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

    /// Waits until somebody connects, whom it leaves without an answer; nil after four minutes.
    package func waitForPeer() async -> Peer? {
        await Thread.run { [descriptor] in
            var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&event, 1, 240_000) == 1 else { return nil }
            let peer = accept(descriptor, nil, nil)
            guard peer >= 0 else { return nil }
            _ = fcntl(peer, F_SETFD, FD_CLOEXEC)
            return Peer(descriptor: peer)
        }
    }

    /// A process that has connected.
    package struct Peer: Sendable {
        fileprivate let descriptor: Int32

        /// Whether it ends or closes the connection, with at most `milliseconds` between two signs of life.
        package func ends(within milliseconds: Int32) async -> Bool {
            await Thread.run { [descriptor] in
                var buffer = [UInt8](repeating: 0, count: 4096)
                var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                while poll(&event, 1, milliseconds) == 1 {
                    if recv(descriptor, &buffer, buffer.count, 0) <= 0 { return true }
                }
                return false
            }
        }

        /// Little, which the kernel takes at once.
        package func send(_ text: String) {
            let bytes = Array(text.utf8)
            _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }

        package func close() {
            Glibc.close(descriptor)
        }
    }

    package func close() {
        Glibc.close(descriptor)
    }
}
