// SPDX-License-Identifier: Apache-2.0

import Crypto
import DiscobotModel
import FoundationEssentials

/// How the bytes of a file travel in JSON.
package enum FileEncoding: String, Sendable, Codable {
    case utf8, base64

    /// What the largest file has in base64.
    private static let largest = 14 << 20

    /// Text as it is, anything else as base64; text as well that its escapes would make too large for one answer.
    package static func encode(_ bytes: [UInt8]) -> (content: String, encoding: FileEncoding) {
        if !bytes.contains(0), bytes.count * 6 <= largest || escapedSize(bytes) <= largest,
            let text = String(validating: bytes, as: UTF8.self)
        {
            return (text, .utf8)
        }
        return (Data(bytes).base64EncodedString(), .base64)
    }

    /// Bytes that text has in JSON.
    private static func escapedSize(_ bytes: [UInt8]) -> Int {
        bytes.reduce(0) { size, byte in
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"):
                size + 2
            case ..<0x20: size + 6
            default: size + 1
            }
        }
    }

    /// Throws `invalidArgument` for text that is not base64.
    package func decode(_ content: String) throws -> [UInt8] {
        guard self == .base64 else { return Array(content.utf8) }
        guard let data = Data(base64Encoded: content) else {
            throw ServerError.invalidArgument("content is not base64")
        }
        return Array(data)
    }
}

/// `GET /files`
package struct DirectoryResponse: Sendable, Codable, Equatable {
    package struct Entry: Sendable, Codable, Equatable {
        package let name: String
        /// `file` or `directory`
        package let type: String
        /// Bytes of a regular file.
        package let size: Int?

        package init(name: String, type: String, size: Int?) {
            self.name = name
            self.type = type
            self.size = size
        }
    }

    package let path: String
    package let entries: [Entry]
    /// Whether there are more entries than these.
    package let truncated: Bool?

    package init(path: String, entries: [Entry], truncated: Bool?) {
        self.path = path
        self.entries = entries
        self.truncated = truncated
    }
}

/// `GET /files/read`
package struct FileResponse: Sendable, Codable, Equatable {
    package let path: String
    package let content: String
    package let encoding: FileEncoding
    package let size: Int
    /// For a later write, see ``FileCondition``.
    package let etag: FileVersion

    package init(path: String, contents: [UInt8]) {
        self.path = path
        (content, encoding) = FileEncoding.encode(contents)
        size = contents.count
        etag = FileVersion(of: contents)
    }
}

/// `POST /files/write`
package struct WriteFileRequest: Sendable, Codable {
    package let path: String?
    package let content: String?
    package let encoding: FileEncoding?

    package init(path: String?, content: String?, encoding: FileEncoding?) {
        self.path = path
        self.content = content
        self.encoding = encoding
    }

    /// The same, as small as it can be in JSON.
    package var compact: WriteFileRequest {
        guard let content, encoding != .base64 else { return self }
        let encoded = FileEncoding.encode(Array(content.utf8))
        return WriteFileRequest(path: path, content: encoded.content, encoding: encoded.encoding)
    }
}

package struct WriteFileResponse: Sendable, Codable, Equatable {
    package let path: String
    package let size: Int
    package let etag: FileVersion

    package init(path: String, contents: [UInt8]) {
        self.path = path
        size = contents.count
        etag = FileVersion(of: contents)
    }
}

/// `POST /files/delete`
package struct RemoveFileRequest: Sendable, Codable {
    package let path: String?

    package init(path: String?) {
        self.path = path
    }
}

package struct RemoveFileResponse: Sendable, Codable, Equatable {
    package let path: String
    /// `file` or `directory`
    package let type: String

    package init(path: String, type: String) {
        self.path = path
        self.type = type
    }
}

/// `POST /files/rename`
package struct RenameFileRequest: Sendable, Codable {
    package let oldPath: String?
    package let newPath: String?

    package init(oldPath: String?, newPath: String?) {
        self.oldPath = oldPath
        self.newPath = newPath
    }
}

package struct RenameFileResponse: Sendable, Codable, Equatable {
    package let oldPath: String
    package let newPath: String

    package init(oldPath: String, newPath: String) {
        self.oldPath = oldPath
        self.newPath = newPath
    }
}

/// `GET /files/search`
package struct FileSearchResponse: Sendable, Codable, Equatable {
    package struct Result: Sendable, Codable, Equatable {
        package let path: String
        /// `file` or `directory`
        package let type: String
        /// Higher is better.
        package let score: Int

        package init(path: String, type: String, score: Int) {
            self.path = path
            self.type = type
            self.score = score
        }
    }

    package let query: String
    package let results: [Result]

    package init(query: String, results: [Result]) {
        self.query = query
        self.results = results
    }
}

/// Which content a file has, as an entity tag (RFC 9110 §8.8.3).
package struct FileVersion: Sendable, Equatable, Codable {
    package let tag: String

    package init(of contents: [UInt8]) {
        let digest = SHA256.hash(data: contents).prefix(16)
        tag = "\"" + digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "\""
    }

    package init(tag: String) {
        self.tag = tag
    }

    package init(from decoder: any Decoder) throws {
        tag = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(tag)
    }
}

/// What a file must be for a change to happen.
package enum FileCondition: Sendable, Equatable {
    case none
    /// `If-Match` with tags
    case matches([FileVersion])
    /// `If-Match: *`
    case exists
    /// `If-None-Match: *`
    case isMissing

    /// As in the headers of a request; throws `invalidArgument` for others than those above.
    package init(ifMatch: String?, ifNoneMatch: String?) throws {
        switch (ifMatch?.trimmingPrefix(" "), ifNoneMatch) {
        case (nil, nil): self = .none
        case (nil, "*"): self = .isMissing
        case ("*", nil): self = .exists
        case (let tags?, nil):
            self = .matches(tags.split(separator: ",").map { FileVersion(tag: String($0.trimmingPrefix(" "))) })
        default:
            throw ServerError.invalidArgument("If-None-Match: only * is possible, and not together with If-Match")
        }
    }

    /// - Parameter version: nil when there is no file.
    package func holds(for version: FileVersion?) -> Bool {
        switch self {
        case .none: true
        case .exists: version != nil
        case .isMissing: version == nil
        case .matches(let versions): version.map(versions.contains) ?? false
        }
    }
}
