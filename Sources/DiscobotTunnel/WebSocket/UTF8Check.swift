// SPDX-License-Identifier: Apache-2.0

/// Whether bytes that come in pieces are UTF-8 so far (Unicode 15, table 3-7); tells at the first byte that is wrong.
struct UTF8Check {
    /// How many bytes of the present character are missing.
    private var missing = 0
    /// What the next of them may be.
    private var allowed: ClosedRange<UInt8> = 0x80...0xBF

    var isComplete: Bool { missing == 0 }

    /// False when a byte is wrong; the check is of no use then.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count {
            if missing == 0 { Self.skipASCII(bytes, &index) }
            guard index < bytes.count else { break }
            guard take(bytes[index]) else { return false }
            index += 1
        }
        return true
    }

    private static func skipASCII(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) {
        while index + 8 <= bytes.count,
            bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        { index += 8 }
        while index < bytes.count, bytes[index] < 0x80 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        if missing > 0 {
            guard allowed.contains(byte) else { return false }
            missing -= 1
            allowed = 0x80...0xBF
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: expect(1)
        case 0xE0: expect(2, 0xA0...0xBF)
        case 0xE1...0xEC, 0xEE...0xEF: expect(2)
        case 0xED: expect(2, 0x80...0x9F)
        case 0xF0: expect(3, 0x90...0xBF)
        case 0xF1...0xF3: expect(3)
        case 0xF4: expect(3, 0x80...0x8F)
        default: return false
        }
        return true
    }

    private mutating func expect(_ count: Int, _ range: ClosedRange<UInt8> = 0x80...0xBF) {
        missing = count
        allowed = range
    }
}
