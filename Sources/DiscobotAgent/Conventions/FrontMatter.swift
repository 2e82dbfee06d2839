// SPDX-License-Identifier: Apache-2.0

/// What a file of `.discobot/` says about itself in its first lines: `key: value` between two equal lines `---`, `#---`
/// or `//---`, behind the line with its interpreter.
///
/// The file is somebody else's: whatever is in it, reading it costs little and cannot fail.
struct FrontMatter: Equatable, Sendable {
    /// Whether the first line names an interpreter.
    let hasInterpreter: Bool
    let fields: [String: String]
    /// Whether there is nothing to run.
    let hasEmptyBody: Bool

    /// Lines between the delimiters, and bytes of a value.
    private static let lineLimit = 100
    private static let valueLimit = 1024

    /// - Parameters:
    ///   - head: the beginning of the file.
    ///   - isWhole: whether the file has no more.
    init(_ head: [UInt8], isWhole: Bool) {
        let bytes = head.starts(with: [0xEF, 0xBB, 0xBF]) ? head.dropFirst(3) : head[...]
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        hasInterpreter = lines.first?.starts(with: Array("#!".utf8)) == true
        let top = lines.dropFirst(hasInterpreter ? 1 : 0).drop { $0.allSatisfy(Self.isBlank) }
        guard let first = top.first, let delimiter = Delimiter(first),
            let end = top.dropFirst().prefix(Self.lineLimit + 1).firstIndex(where: { Delimiter($0) == delimiter })
        else {
            fields = [:]
            hasEmptyBody = isWhole && top.isEmpty
            return
        }
        fields = Dictionary(
            top[(top.startIndex + 1)..<end].compactMap { Self.field(delimiter.content(of: $0)) },
            uniquingKeysWith: { $1 }
        )
        hasEmptyBody = isWhole && top[(end + 1)...].allSatisfy { $0.allSatisfy(Self.isBlank) }
    }

    /// A field that is there and not empty.
    subscript(_ name: String) -> String? {
        fields[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// How the languages of the files write a line that is not theirs.
    private enum Delimiter: String, CaseIterable {
        case plain = ""
        case hash = "#"
        case slashes = "//"

        init?(_ line: ArraySlice<UInt8>) {
            let text = FrontMatter.trimmed(line)
            guard text.suffix(3).elementsEqual(Array("---".utf8)) else { return nil }
            let prefix = FrontMatter.trimmed(text.dropLast(3))
            guard let found = Self.allCases.first(where: { prefix.elementsEqual($0.rawValue.utf8) }) else { return nil }
            self = found
        }

        func content(of line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
            let text = FrontMatter.trimmed(line)
            return text.starts(with: rawValue.utf8) ? text.dropFirst(rawValue.utf8.count) : text
        }
    }

    private static func field(_ line: ArraySlice<UInt8>) -> (String, String)? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let key = trimmed(line[..<colon])
        guard (1...64).contains(key.count), !key.contains(UInt8(ascii: "#")) else { return nil }
        return (text(of: key), text(of: unquoted(trimmed(line[(colon + 1)...]))))
    }

    private static func unquoted(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard value.count >= 2, let first = value.first, first == value.last,
            first == UInt8(ascii: "\"") || first == UInt8(ascii: "'")
        else { return value }
        return value.dropFirst().dropLast()
    }

    /// Text that can be shown: bounded, and without control characters.
    private static func text(of bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.prefix(valueLimit).filter { $0 >= 0x20 && $0 != 0x7F }, as: UTF8.self)
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line = line.drop(while: isBlank)
        while let last = line.last, isBlank(last) { line.removeLast() }
        return line
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }
}
