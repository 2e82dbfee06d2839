// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Blocking work with unix sockets, for threads of their own.
enum UnixSocket {
    /// Nil when nobody listens there.
    static func connect(_ path: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        if isConnected { return descriptor }
        close(descriptor)
        return nil
    }

    /// Until one of the two ends; `first` runs when something has come, before it is passed on.
    static func copy(_ source: Int32, to target: Int32, first: () -> Void = {}) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var isFirst = true
        while case let count = recv(source, &buffer, buffer.count, 0), count > 0 {
            if isFirst { first() }
            isFirst = false
            guard write(Array(buffer.prefix(count)), to: target) else { return }
        }
    }

    /// False when the other side is gone.
    @discardableResult
    static func write(_ bytes: [UInt8], to target: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(target, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
