// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Frames as they are sent (RFC 6455 §5.2).
enum WebSocketFrames {
    enum Opcode: UInt8 {
        case continuation = 0, text = 1, binary = 2
        case close = 8, ping = 9, pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    /// A frame that is a whole message.
    ///
    /// - Parameter mask: what clients must hide the payload with.
    static func frame(_ opcode: Opcode, _ payload: ByteBuffer, mask: UInt32?) -> ByteBuffer {
        let count = payload.readableBytes
        var frame = ByteBufferAllocator().buffer(capacity: count + 14)
        frame.writeInteger(0x80 | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch count {
        case 0...125: frame.writeInteger(maskBit | UInt8(count))
        case 126...0xFFFF:
            frame.writeInteger(maskBit | 126)
            frame.writeInteger(UInt16(count))
        default:
            frame.writeInteger(maskBit | 127)
            frame.writeInteger(UInt64(count))
        }
        if let mask { frame.writeInteger(mask) }
        let start = frame.writerIndex
        frame.writeImmutableBuffer(payload)
        if let mask { apply(mask, to: &frame, at: start, offset: 0) }
        return frame
    }

    static func close(_ close: WebSocketClose, mask: UInt32?) -> ByteBuffer {
        var payload = ByteBuffer()
        if let code = close.code {
            payload.writeInteger(UInt16(code))
            payload.writeBytes(shortened(close.reason))
        }
        return frame(.close, payload, mask: mask)
    }

    private static func shortened(_ reason: String) -> [UInt8] {
        var bytes = Array(reason.utf8)
        while bytes.count > 123 || (bytes.count < reason.utf8.count && isContinuation(reason.utf8, bytes.count)) {
            bytes.removeLast()
        }
        return bytes
    }

    private static func isContinuation(_ bytes: String.UTF8View, _ index: Int) -> Bool {
        bytes[bytes.index(bytes.startIndex, offsetBy: index)] & 0xC0 == 0x80
    }

    /// Hides bytes, or shows them again, from `start` on.
    ///
    /// - Parameter offset: how many bytes of the payload came before.
    static func apply(_ mask: UInt32, to buffer: inout ByteBuffer, at start: Int, offset: Int) {
        let shift = UInt32(offset % 4) * 8
        let turned = shift == 0 ? mask : mask << shift | mask >> (32 - shift)
        let first = start - buffer.readerIndex
        buffer.withUnsafeMutableReadableBytes { bytes in
            var index = first
            let wide = UInt64(turned) << 32 | UInt64(turned)
            while index + 8 <= bytes.count {
                let value = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                bytes.storeBytes(of: value ^ wide.bigEndian, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            var byte = 0
            while index < bytes.count {
                bytes[index] ^= UInt8(truncatingIfNeeded: turned >> (24 - 8 * UInt32(byte)))
                index += 1
                byte = (byte + 1) % 4
            }
        }
    }
}
