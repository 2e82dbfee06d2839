// SPDX-License-Identifier: Apache-2.0

/// Turns `Encodable` values into JSON in one pass.
///
/// Foundation's encoder builds a tree first and writes it afterwards, which was a third of the cost of answering a list.
package enum JSONEncoding {
    /// Throws `EncodingError` for numbers that JSON does not have, and what the value's own `encode(to:)` throws.
    package static func bytes(of value: some Encodable) throws -> [UInt8] {
        let output = JSONOutput()
        try output.write(value)
        return output.bytes
    }
}

/// The text so far, shared by all containers of one value.
final class JSONOutput {
    // Only ever touched by the one call that made it, so checking each access would cost for nothing.
    @exclusivity(unchecked) private(set) var bytes: [UInt8] = []
    /// What ends the objects and lists that are open, outermost first.
    @exclusivity(unchecked) private var terminators: [UInt8] = []

    init() {
        bytes.reserveCapacity(1024)
    }

    /// How many objects and lists are open.
    var depth: Int { terminators.count }

    func open(_ opener: Unicode.Scalar, closedBy closer: Unicode.Scalar) {
        bytes.append(UInt8(ascii: opener))
        terminators.append(UInt8(ascii: closer))
    }

    /// Ends what was opened since there were `depth`; nobody says when a container is done, so the next write does.
    func close(to depth: Int) {
        while terminators.count > depth { bytes.append(terminators.removeLast()) }
    }

    /// Writes any value with all that it opens.
    func write(_ value: some Encodable) throws {
        let depth = depth
        let start = bytes.count
        try value.encode(to: JSONValueEncoder(output: self))
        close(to: depth)
        if bytes.count == start { write(literal: "{}") }
    }

    func write(literal: StaticString) {
        literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    func write(number: some CustomStringConvertible) {
        bytes.append(contentsOf: number.description.utf8)
    }

    func write(fraction: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard fraction.isFinite else {
            let context = EncodingError.Context(codingPath: [], debugDescription: "JSON has no such number")
            throw EncodingError.invalidValue(fraction, context)
        }
        write(number: fraction)
    }

    /// Writes a string as RFC 8259 §7 wants it.
    func write(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var clean = utf8.startIndex
            for index in utf8.indices where Self.needsEscape(utf8[index]) {
                bytes.append(contentsOf: utf8[clean..<index])
                escape(utf8[index])
                clean = index + 1
            }
            bytes.append(contentsOf: utf8[clean...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): write(literal: #"\""#)
        case UInt8(ascii: "\\"): write(literal: #"\\"#)
        case UInt8(ascii: "\n"): write(literal: #"\n"#)
        case UInt8(ascii: "\r"): write(literal: #"\r"#)
        case UInt8(ascii: "\t"): write(literal: #"\t"#)
        default:
            write(literal: byte < 0x10 ? #"\u000"# : #"\u001"#)
            bytes.append(contentsOf: String(byte & 0xF, radix: 16).utf8)
        }
    }
}
