// SPDX-License-Identifier: Apache-2.0

/// A failed git operation: a code for the caller and a message that is safe to show to a user.
package struct GitError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What went wrong, in terms a caller can act on.
    package enum Code: Sendable {
        case invalidArgument
        case notFound
        case notARepository
        /// The repository's state does not allow it: nothing to commit, local changes in the way, a lock is held.
        case conflict
        case tooLarge
        case forbidden
        case storageFull
        case timedOut
        /// There is no git on this machine.
        case notInstalled
        case failed
    }

    package let code: Code
    /// Trimmed, without credentials, at most ``messageLimit`` characters.
    package let message: String

    static let messageLimit = 2_000

    /// Redacts, trims and shortens `message`.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = Self.shortened(Self.redacted(message.trimmed))
    }

    package var description: String { message }

    private static func shortened(_ text: String) -> String {
        text.count <= messageLimit ? text : text.prefix(messageLimit - 1) + "…"
    }

    /// Replaces the user information of every URL in `text` by `***`, because tokens are often put there.
    static func redacted(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let separator = rest.firstRange(of: "://") {
            result += rest[..<separator.upperBound]
            rest = rest[separator.upperBound...]
            let authority = rest.prefix { !"/'\"<>".contains($0) && !$0.isWhitespace }
            guard let at = authority.lastIndex(of: "@") else { continue }
            result += "***"
            rest = rest[at...]
        }
        return result + rest
    }
}

extension StringProtocol {
    /// Without white space and line breaks at both ends.
    var trimmed: String {
        let tail = drop(while: \.isWhitespace)
        return String(tail.prefix(upTo: tail.lastIndex { !$0.isWhitespace }.map(tail.index(after:)) ?? tail.startIndex))
    }
}
