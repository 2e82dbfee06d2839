// SPDX-License-Identifier: Apache-2.0

/// Where the files of a workspace come from.
package enum GitSource: Equatable, Sendable {
    /// A URL or an scp-like name that is safe to hand to `git clone`, to store and to show.
    case remote(url: String)
    /// An absolute path on this machine.
    case local(path: String)

    /// Parses either kind, as decided by ``isRemote(_:)``. Throws `.invalidArgument` with the reason.
    package init(parsing text: String) throws(GitError) {
        guard !Self.isRemote(text) else {
            self = try .remote(parsing: text)
            return
        }
        guard text.isAbsolutePath else { throw .init(.invalidArgument, "the path must be absolute: \(text)") }
        self = .local(path: text)
    }

    /// Whether `text` is meant as a remote; it may still be refused by ``remote(parsing:)``.
    package static func isRemote(_ text: String) -> Bool {
        let schemes = ["http://", "https://", "git://", "ssh://", "file://", "git@"]
        return schemes.contains { text.lowercased().hasPrefix($0) }
            || (text.hasPrefix("/") ? text.hasSuffix(".git") : isScpLike(text))
    }

    /// The URL of the GitHub shorthand `org/repo`, nil when `text` is not one.
    package static func gitHubURL(fromShorthand text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let owner = parts.first, let name = parts.last,
            1...39 ~= owner.count, owner.first != "-", owner.allSatisfy({ $0.isASCIILetterOrDigit || $0 == "-" }),
            1...100 ~= name.count, name != ".", name != "..", name.first != "-",
            name.allSatisfy({ $0.isASCIILetterOrDigit || "-_.".contains($0) })
        else { return nil }
        return "https://github.com/\(text)"
    }

    private static func isScpLike(_ text: String) -> Bool {
        guard let colon = text.firstIndex(of: ":"), let at = text.firstIndex(of: "@"), at < colon else { return false }
        return !text[..<colon].contains("/") && !text[colon...].hasPrefix("::") && !text[colon...].hasPrefix("://")
    }
}

extension Character {
    var isASCIILetterOrDigit: Bool { isASCII && (isLetter || isNumber) }
}
