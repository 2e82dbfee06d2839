// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Why a service's answer cannot be passed on; the message is for the user.
package struct ProxyError: Error, Sendable, Equatable {
    package enum Code: Sendable, Equatable {
        /// What the client sent cannot be passed on.
        case badRequest
        /// The service said something that is no answer.
        case badAnswer
        /// The service said nothing, and closed the connection.
        case noAnswer
        case timedOut
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    static let noAnswer = ProxyError(.noAnswer, "the service closed the connection without an answer")
}

/// Reads one answer of HTTP/1 as its bytes come: strictly, because what two readers understand differently can be used to
/// smuggle another answer along.
package struct AnswerParser: Sendable {
    package struct Head: Sendable, Equatable {
        package let status: Int
        package let fields: [Field]
        /// Nil for an answer that goes on until its end is said.
        package let contentLength: Int?
    }

    package struct Field: Sendable, Equatable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package enum Part: Sendable, Equatable {
        case head(Head)
        case body(ByteBuffer)
        case end
    }

    private enum State: Equatable {
        case head
        case length(rest: Int)
        case chunkSize, chunkEnd, trailers
        case chunk(rest: Int)
        case untilClose
        case ended
    }

    private static let headLimit = 64 << 10
    private static let lineLimit = 8 << 10
    private static let fieldLimit = 256
    private static let interimLimit = 16

    /// What of a head has come so far.
    private struct PartialHead {
        var lines: [[UInt8]] = []
        /// The one that is not whole yet.
        var line: [UInt8] = []
        var byteCount = 0
    }

    private let isToHead: Bool
    private var state = State.head
    private var partialHead = PartialHead()
    private var isClosed = false
    /// Whether the service closes the connection after this answer.
    private var isLast = false
    private var interimCount = 0
    private var trailerBytes = 0
    /// What has not been looked at; after 101 it belongs to the other protocol.
    package private(set) var rest = ByteBuffer()

    /// - Parameter isToHead: whether HEAD was asked, whose answers have no body.
    package init(isToHead: Bool) {
        self.isToHead = isToHead
    }

    package mutating func append(_ bytes: ByteBuffer) {
        guard rest.readableBytes > 0 else { return rest = bytes }
        // What has been read would stay in front for ever where pieces never end together.
        rest.discardReadBytes()
        rest.writeImmutableBuffer(bytes)
    }

    /// The service says nothing more.
    package mutating func close() { isClosed = true }

    /// Whether anything of the answer has come.
    package var hasBegun: Bool {
        state != .head || rest.readableBytes > 0 || partialHead.byteCount > 0 || interimCount > 0
    }

    /// Whether the answer is complete and another one may follow on the connection.
    package var isReusable: Bool { state == .ended && !isLast && !isClosed && rest.readableBytes == 0 }

    /// The next part that is complete; nil when more bytes are needed. Throws `ProxyError`.
    package mutating func next() throws(ProxyError) -> Part? {
        while true {
            switch state {
            case .ended: return .end
            case .head:
                guard let head = try nextHead() else { return try missing() }
                if let head { return .head(head) }
            case .length(let rest):
                guard let bytes = take(rest) else { return try missing() }
                state = bytes.readableBytes == rest ? .ended : .length(rest: rest - bytes.readableBytes)
                return .body(bytes)
            case .untilClose:
                if let bytes = take(.max) { return .body(bytes) }
                guard isClosed else { return nil }
                state = .ended
            default: if let part = try nextOfChunks() { return part } else if needsMore { return try missing() }
            }
        }
    }

    private mutating func missing() throws(ProxyError) -> Part? {
        guard isClosed else { return nil }
        throw hasBegun ? ProxyError(.badAnswer, "the service broke its answer off") : .noAnswer
    }

    /// As many of the bytes as there are; nil for none.
    private mutating func take(_ limit: Int) -> ByteBuffer? {
        let count = min(limit, rest.readableBytes)
        return count > 0 ? rest.readSlice(length: count) : nil
    }

    // MARK: - Chunks

    /// Set when a chunk's line is not whole yet.
    private var needsMore = false

    private mutating func nextOfChunks() throws(ProxyError) -> Part? {
        needsMore = false
        switch state {
        case .chunk(let rest):
            guard let bytes = take(rest) else {
                needsMore = true
                return nil
            }
            state = bytes.readableBytes == rest ? .chunkEnd : .chunk(rest: rest - bytes.readableBytes)
            return .body(bytes)
        default:
            guard let line = try line() else {
                needsMore = true
                return nil
            }
            try read(chunkLine: line)
            return nil
        }
    }

    private mutating func read(chunkLine line: [UInt8]) throws(ProxyError) {
        switch state {
        case .chunkSize:
            let digits = line.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != 0x20 && $0 != 0x09 }
            let text = String(decoding: digits, as: UTF8.self)
            guard (1...15).contains(digits.count), digits.allSatisfy(Self.isHexDigit), let size = Int(text, radix: 16)
            else { throw ProxyError(.badAnswer, "the service sent a chunk without a size") }
            state = size == 0 ? .trailers : .chunk(rest: size)
        case .chunkEnd:
            guard line.isEmpty else { throw ProxyError(.badAnswer, "the service sent a chunk that is too long") }
            state = .chunkSize
        default:
            trailerBytes += line.count
            guard trailerBytes <= Self.headLimit else { throw Self.tooLarge }
            if line.isEmpty { state = .ended }
        }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    /// A line without its end; nil when it is not whole.
    private mutating func line() throws(ProxyError) -> [UInt8]? {
        let view = rest.readableBytesView
        guard let end = view.prefix(Self.lineLimit).firstIndex(of: UInt8(ascii: "\n")) else {
            guard view.count < Self.lineLimit else { throw Self.tooLarge }
            return nil
        }
        let line = Array(view[..<end])
        rest.moveReaderIndex(forwardBy: line.count + 1)
        return line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }

    // MARK: - The head

    /// Nil when it is not whole; an inner nil for one that another follows.
    private mutating func nextHead() throws(ProxyError) -> Head?? {
        guard let lines = try headLines() else { return nil }
        guard let first = lines.first, let status = Self.status(first) else {
            throw ProxyError(.badAnswer, "the service does not speak HTTP")
        }
        var fields: [Field] = []
        for line in lines.dropFirst() { fields.append(try Self.field(line)) }
        guard fields.count <= Self.fieldLimit else { throw Self.tooLarge }
        if status < 200, status != 101 {
            interimCount += 1
            guard interimCount <= Self.interimLimit else { throw ProxyError(.badAnswer, "the service never answers") }
            return .some(nil)
        }
        isLast = first.starts(with: "HTTP/1.0".utf8) || Self.saysClose(fields)
        return try begin(status, fields)
    }

    private mutating func begin(_ status: Int, _ fields: [Field]) throws(ProxyError) -> Head {
        let length = try Self.length(fields)
        let codings = fields.filter { $0.name.lowercased() == "transfer-encoding" }.map { $0.value.lowercased() }
        guard codings.isEmpty || (codings == ["chunked"] && length == nil) else {
            throw ProxyError(.badAnswer, "the service's answer has no clear length")
        }
        if isToHead || status == 204 || status == 304 || status == 101 {
            state = .ended
            // Some servers send a body all the same, which would be taken for the next answer.
            if isToHead || !codings.isEmpty || length != nil { isLast = true }
        } else if !codings.isEmpty {
            state = .chunkSize
        } else if let length {
            state = length == 0 ? .ended : .length(rest: length)
        } else {
            state = .untilClose
            isLast = true
        }
        return Head(status: status, fields: fields, contentLength: length)
    }

    /// Looks at each byte once, in however small pieces it comes.
    private mutating func headLines() throws(ProxyError) -> [[UInt8]]? {
        while let byte = rest.readInteger(as: UInt8.self) {
            partialHead.byteCount += 1
            guard partialHead.byteCount <= Self.headLimit else { throw Self.tooLarge }
            guard byte == UInt8(ascii: "\n") else {
                partialHead.line.append(byte)
                continue
            }
            if partialHead.line.last == UInt8(ascii: "\r") { partialHead.line.removeLast() }
            if partialHead.line.isEmpty {
                defer { partialHead = PartialHead() }
                return partialHead.lines
            }
            partialHead.lines.append(partialHead.line)
            partialHead.line = []
            // What is no answer need not be read to its end.
            if partialHead.lines.count == 1, Self.status(partialHead.lines[0]) == nil { return partialHead.lines }
        }
        let isOther = partialHead.lines.isEmpty && !"HTTP/".utf8.starts(with: partialHead.line.prefix(5))
        return isOther ? [partialHead.line] : nil
    }

    private static let tooLarge = ProxyError(.badAnswer, "the head of the service's answer is too large")

    private static func status(_ line: [UInt8]) -> Int? {
        let text = String(decoding: line, as: UTF8.self)
        let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0] == "HTTP/1.1" || parts[0] == "HTTP/1.0", parts[1].utf8.count == 3,
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let status = Int(parts[1]),
            (100...599).contains(status)
        else { return nil }
        return status
    }

    private static func field(_ line: [UInt8]) throws(ProxyError) -> Field {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, line[..<colon].allSatisfy(isNameByte)
        else {
            throw ProxyError(.badAnswer, "the service sent a header with a bad name")
        }
        var value = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
        while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw ProxyError(.badAnswer, "the service sent a header with control characters")
        }
        return Field(String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
    }

    /// RFC 9110 §5.6.2.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    private static func saysClose(_ fields: [Field]) -> Bool {
        fields.contains { field in
            field.name.lowercased() == "connection"
                && field.value.lowercased().split { ", \t".contains($0) }.contains("close")
        }
    }

    private static func length(_ fields: [Field]) throws(ProxyError) -> Int? {
        let values = Set(fields.filter { $0.name.lowercased() == "content-length" }.map(\.value))
        guard let value = values.first else { return nil }
        guard values.count == 1, (1...18).contains(value.utf8.count),
            value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(value)
        else { throw ProxyError(.badAnswer, "the service's answer has no clear length") }
        return length
    }
}
