// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A plain TCP connection, for what no HTTP client would send.
package struct RawConnection: Sendable {
    private let descriptor: Int32

    /// Connects to a port of 127.0.0.1; reading gives up after a minute of silence.
    package init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // Not for the servers that tests start.
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let descriptor = descriptor
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            Glibc.close(descriptor)
            throw Shell.Failed(description: "cannot connect")
        }
    }

    /// Waits until nobody listens at a port any more; false when somebody still does after four minutes.
    package static func isRefused(port: Int) async -> Bool {
        await Thread.run {
            let deadline = ContinuousClock.now + .seconds(240)
            while let connection = try? RawConnection(port: port) {
                connection.close()
                if ContinuousClock.now > deadline { return false }
                usleep(1000)
            }
            return true
        }
    }

    /// Sends little, which the kernel takes at once.
    package func send(_ text: String) {
        send(Array(text.utf8))
    }

    /// Sends little, which the kernel takes at once.
    package func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends more than the kernel takes while the peer does not read.
    package func sendMuch(_ bytes: [UInt8]) async {
        await Thread.run { send(bytes) }
    }

    /// Says that nothing more comes from here.
    package func finish() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Reads until `text` has come, the peer closes, or time is up; returns all that was read.
    package func read(until text: String) async -> String {
        await Thread.run {
            var received: [UInt8] = []
            while !String(decoding: received, as: UTF8.self).contains(text) {
                guard let bytes = next(), !bytes.isEmpty else { break }
                received += bytes
            }
            return String(decoding: received, as: UTF8.self)
        }
    }

    /// Reads until so many bytes have come, the peer closes, or time is up.
    package func read(count: Int) async -> [UInt8] {
        await Thread.run { readNow(count: count) }
    }

    /// Reads the head of an answer.
    package func readHead() async -> String {
        await Thread.run {
            var bytes: [UInt8] = []
            while !bytes.suffix(4).elementsEqual("\r\n\r\n".utf8) {
                let next = readNow(count: 1)
                guard !next.isEmpty else { break }
                bytes += next
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Reads until the peer closes; nil when it does not within the time.
    package func readToEnd() async -> String? {
        await readBytesToEnd().map { String(decoding: $0, as: UTF8.self) }
    }

    /// Reads until the peer closes; nil when it does not within the time.
    package func readBytesToEnd() async -> [UInt8]? {
        await Thread.run {
            var received: [UInt8] = []
            while let bytes = next() {
                if bytes.isEmpty { return received }
                received += bytes
            }
            return nil
        }
    }

    package func close() {
        Glibc.close(descriptor)
    }

    /// What comes next; empty when the peer closes, nil when nothing comes in time.
    private func next() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : Array(buffer.prefix(count))
    }

    private func readNow(count: Int) -> [UInt8] {
        var received = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let more = received[filled...].withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard more > 0 else { break }
            filled += more
        }
        return Array(received.prefix(filled))
    }
}
