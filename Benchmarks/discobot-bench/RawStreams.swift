// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CLinux
import Glibc

/// Connections that one thread reads as soon as something comes, line by line.
///
/// Without a library in between: the reader of a thousand streams should take little of the cores that it shares with
/// the server, and the kernel tells when it had received what is read later.
final class RawStreams {
    /// A line without its end. Times are nanoseconds since 1970.
    struct Line {
        let stream: Int
        let text: UnsafeRawBufferPointer
        /// When the kernel had it for this process.
        let received: Int64
        /// When this process had it.
        let read: Int64

        func begins(with prefix: StaticString) -> Bool {
            text.starts(with: UnsafeRawBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
        }
    }

    private let port: UInt16
    private let epoll = epoll_create1(0)
    private var sockets: [CInt] = []
    /// Beginnings of lines whose end has not come yet.
    private var rests: [[UInt8]] = []
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var control = [UInt8](repeating: 0, count: 64)
    private var events = [epoll_event](repeating: epoll_event(), count: 256)
    /// How many connections the server has not ended.
    private(set) var openCount = 0

    init(port: Int) {
        self.port = UInt16(truncatingIfNeeded: port)
    }

    deinit {
        for socket in sockets { close(socket) }
        close(epoll)
    }

    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Opens a connection and sends a request; returns the stream's number.
    func open(_ request: String) throws -> Int {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isConnected = withUnsafeBytes(of: &address) { bytes in
            guard let address = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return connect(socket, address, socklen_t(bytes.count)) == 0
        }
        guard isConnected else { throw ValidationError("cannot connect to port \(port): errno \(errno)") }
        var yes: CInt = 1
        setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &yes, socklen_t(MemoryLayout<CInt>.size))
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<CInt>.size))
        let stream = sockets.count
        sockets.append(socket)
        rests.append([])
        openCount += 1
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data(u64: UInt64(stream)))
        epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event)
        try send(request, on: stream)
        return stream
    }

    func send(_ request: String, on stream: Int) throws {
        let bytes = Array(request.utf8)
        guard Glibc.send(sockets[stream], bytes, bytes.count, 0) == bytes.count else {
            throw ValidationError("cannot send a request: errno \(errno)")
        }
    }

    /// Waits until something comes, and hands over the lines.
    func read(_ handle: (Line) throws -> Void) throws {
        let count = epoll_wait(epoll, &events, Int32(events.count), 60_000)
        guard count > 0 else { throw ValidationError("the server has sent nothing for a minute") }
        for event in events.prefix(Int(count)) { try read(Int(event.data.u64), handle) }
    }

    private func read(_ stream: Int, _ handle: (Line) throws -> Void) throws {
        let (count, received) = receive(sockets[stream])
        guard count > 0 else {
            epoll_ctl(epoll, EPOLL_CTL_DEL, sockets[stream], nil)
            openCount -= 1
            return
        }
        let read = Self.now
        let pending = rests[stream] + buffer[..<count]
        try pending.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                let text = UnsafeRawBufferPointer(rebasing: rest[..<end])
                try handle(Line(stream: stream, text: text, received: received ?? read, read: read))
                rest = rest[(end + 1)...]
            }
            rests[stream] = Array(rest)
        }
    }

    /// Reads what is there, with the time at which the last of it came.
    private func receive(_ socket: CInt) -> (count: Int, received: Int64?) {
        buffer.withUnsafeMutableBytes { bytes in
            control.withUnsafeMutableBytes { control in
                var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                return withUnsafeMutablePointer(to: &part) { part in
                    var message = msghdr()
                    message.msg_iov = part
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = control.count
                    let count = recvmsg(socket, &message, Int32(MSG_DONTWAIT))
                    guard count > 0, message.msg_controllen >= Self.timeOffset + 16 else { return (count, nil) }
                    // The only control message that is asked for: its header, seconds, nanoseconds.
                    let seconds = control.load(fromByteOffset: Self.timeOffset, as: Int64.self)
                    let rest = control.load(fromByteOffset: Self.timeOffset + 8, as: Int64.self)
                    return (count, seconds * 1_000_000_000 + rest)
                }
            }
        }
    }

    private static let timeOffset = MemoryLayout<cmsghdr>.size
}
