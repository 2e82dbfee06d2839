// SPDX-License-Identifier: Apache-2.0

import DiscobotModel

/// The web origins whose pages may call the server from a browser.
package struct AllowedOrigins: Sendable {
    private let patterns: [[Substring]]

    /// - Parameter patterns: origins such as `http://localhost:3000`; `*` stands for any part of a host name.
    package init(_ patterns: [String]) throws {
        for pattern in patterns where !Self.isOrigin(pattern) {
            throw ServerError.invalidArgument("CORS_ORIGINS: \(pattern) is not an origin such as http://localhost:3000")
        }
        self.patterns = patterns.map { $0.split(separator: "*", omittingEmptySubsequences: false) }
    }

    /// Whether pages of the origin may call the server. Those of sessions' services never may, whatever the patterns say:
    /// agents write them. The origin `null` is that of services' pages without a host of their own, and of any others.
    func contains(_ origin: String) -> Bool { origin != "null" && !Self.isOfService(origin) && matches(origin) }

    private static func isOfService(_ origin: String) -> Bool {
        guard let scheme = origin.firstRange(of: "://") else { return false }
        return origin[scheme.upperBound...].prefix { $0 != "." }.lowercased().contains("-svc-")
    }

    /// Whether the origin matches a pattern; what `*` stands for stays within the host name.
    func matches(_ origin: String) -> Bool {
        patterns.contains { parts in
            guard parts.count > 1 else { return origin == parts[0] }
            guard parts != ["", ""] else { return true }
            return matches(origin[...], parts[...])
        }
    }

    private static func isOrigin(_ pattern: String) -> Bool {
        pattern == "*" || (pattern.contains("://") && !pattern.contains { $0.isWhitespace || $0 == "#" })
    }

    private static func isHostCharacter(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
    }

    private func matches(_ text: Substring, _ parts: ArraySlice<Substring>) -> Bool {
        guard let first = parts.first, text.hasPrefix(first) else { return false }
        let rest = text.dropFirst(first.count)
        let remaining = parts.dropFirst()
        guard let next = remaining.first else { return rest.isEmpty }
        return rest.indices.lazy.map { rest[$0...] }.contains { tail in
            let filler = rest[..<tail.startIndex]
            return !filler.isEmpty && filler.allSatisfy(Self.isHostCharacter) && tail.hasPrefix(next)
                && matches(tail, remaining)
        }
    }
}
