// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Makes messages of what a peer sends, and tells what is against the protocol as soon as it is seen.
struct WebSocketParser {
    typealias Opcode = WebSocketFrames.Opcode

    enum Event: Equatable {
        case message(WebSocketMessage)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        case close(WebSocketClose)
    }

    private struct Frame {
        let opcode: Opcode
        let isFinal: Bool
        let length: Int
        let mask: UInt32?
        var taken = 0
    }

    private struct Partial {
        let kind: WebSocketMessage.Kind
        var bytes = ByteBuffer()
        var check = UTF8Check()
    }

    /// Whether frames must be masked, as those of clients; otherwise they must not.
    private let expectsMask: Bool
    private let maximumMessage: Int
    private var input = ByteBuffer()
    private var frame: Frame?
    private var partial: Partial?

    init(expectsMask: Bool, maximumMessage: Int) {
        self.expectsMask = expectsMask
        self.maximumMessage = maximumMessage
    }

    mutating func append(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
    }

    /// The next thing that is complete; nil when more bytes are needed. Nothing can be read after an error.
    mutating func next() throws(WebSocketViolation) -> Event? {
        while true {
            if frame == nil { frame = try head() }
            guard let frame else { return nil }
            if frame.opcode.isControl {
                guard let payload = payload(of: frame) else { return nil }
                self.frame = nil
                return try control(frame.opcode, payload)
            }
            try takeData(frame)
            guard let taken = self.frame, taken.taken == taken.length else { return nil }
            self.frame = nil
            if let message = try finished(frame) { return .message(message) }
        }
    }

    // MARK: Heads

    private mutating func head() throws(WebSocketViolation) -> Frame? {
        var rest = input
        guard let first = rest.readInteger(as: UInt8.self) else { return nil }
        // Before the second byte has come: a peer that speaks another protocol need not send one.
        guard first & 0x70 == 0 else { throw WebSocketViolation(1002, "reserved bits are set") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw WebSocketViolation(1002, "unknown opcode") }
        let isFinal = first & 0x80 != 0
        try checkOrder(opcode, isFinal)
        guard let second = rest.readInteger(as: UInt8.self) else { return nil }
        guard (second & 0x80 != 0) == expectsMask else {
            throw WebSocketViolation(1002, expectsMask ? "the frame is not masked" : "the frame is masked")
        }
        guard !opcode.isControl || second & 0x7F <= 125 else {
            throw WebSocketViolation(1002, "the control frame is too long")
        }
        guard let length = try Self.length(second & 0x7F, &rest) else { return nil }
        guard opcode.isControl || length <= maximumMessage - (partial?.bytes.readableBytes ?? 0) else {
            throw WebSocketViolation(1009, "the message is larger than \(maximumMessage) bytes")
        }
        var mask: UInt32?
        if expectsMask {
            guard let key = rest.readInteger(as: UInt32.self) else { return nil }
            mask = key
        }
        input = rest
        return Frame(opcode: opcode, isFinal: isFinal, length: length, mask: mask)
    }

    private func checkOrder(_ opcode: Opcode, _ isFinal: Bool) throws(WebSocketViolation) {
        switch opcode {
        case .continuation where partial == nil: throw WebSocketViolation(1002, "nothing to continue")
        case .text where partial != nil, .binary where partial != nil:
            throw WebSocketViolation(1002, "the message before is not complete")
        case .close where !isFinal, .ping where !isFinal, .pong where !isFinal:
            throw WebSocketViolation(1002, "a control frame is in pieces")
        default: break
        }
    }

    private static func length(_ short: UInt8, _ rest: inout ByteBuffer) throws(WebSocketViolation) -> Int? {
        switch short {
        case 126:
            guard let length = rest.readInteger(as: UInt16.self) else { return nil }
            guard length > 125 else { throw WebSocketViolation(1002, "the length is not in its shortest form") }
            return Int(length)
        case 127:
            guard let length = rest.readInteger(as: UInt64.self) else { return nil }
            guard length > 0xFFFF else { throw WebSocketViolation(1002, "the length is not in its shortest form") }
            guard let length = Int(exactly: length) else { throw WebSocketViolation(1002, "the length is negative") }
            return length
        default: return Int(short)
        }
    }

    // MARK: Payloads

    private mutating func payload(of frame: Frame) -> ByteBuffer? {
        guard var payload = input.readSlice(length: frame.length) else { return nil }
        if let mask = frame.mask {
            WebSocketFrames.apply(mask, to: &payload, at: payload.readerIndex, offset: 0)
        }
        return payload
    }

    private func control(_ opcode: Opcode, _ payload: ByteBuffer) throws(WebSocketViolation) -> Event {
        switch opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        default: return .close(try Self.close(payload))
        }
    }

    private static func close(_ payload: ByteBuffer) throws(WebSocketViolation) -> WebSocketClose {
        var payload = payload
        guard payload.readableBytes > 0 else { return WebSocketClose(nil) }
        guard let code = payload.readInteger(as: UInt16.self) else {
            throw WebSocketViolation(1002, "half a close code")
        }
        guard WebSocketClose.isAllowed(Int(code)) else { throw WebSocketViolation(1002, "no such close code") }
        var check = UTF8Check()
        guard payload.withUnsafeReadableBytes({ check.append($0) }), check.isComplete else {
            throw WebSocketViolation(1007, "the reason is not UTF-8")
        }
        return WebSocketClose(Int(code), String(buffer: payload))
    }

    /// Takes what has come of a data frame, so that a long one is judged before its end.
    private mutating func takeData(_ frame: Frame) throws(WebSocketViolation) {
        var partial = partial ?? Partial(kind: frame.opcode == .text ? .text : .binary)
        let count = min(frame.length - frame.taken, input.readableBytes)
        guard var piece = input.readSlice(length: count) else { return }
        if let mask = frame.mask {
            WebSocketFrames.apply(mask, to: &piece, at: piece.readerIndex, offset: frame.taken)
        }
        if partial.kind == .text, !piece.withUnsafeReadableBytes({ partial.check.append($0) }) {
            throw WebSocketViolation(1007, "the text is not UTF-8")
        }
        self.partial = nil
        if partial.bytes.readableBytes == 0 { partial.bytes = piece } else { partial.bytes.writeImmutableBuffer(piece) }
        self.partial = partial
        self.frame?.taken += count
    }

    private mutating func finished(_ frame: Frame) throws(WebSocketViolation) -> WebSocketMessage? {
        guard frame.isFinal, let partial else { return nil }
        guard partial.kind == .binary || partial.check.isComplete else {
            throw WebSocketViolation(1007, "the text is not UTF-8")
        }
        self.partial = nil
        return WebSocketMessage(partial.kind, partial.bytes)
    }
}
