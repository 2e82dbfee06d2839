// SPDX-License-Identifier: Apache-2.0

// The rules for remotes. git has had several vulnerabilities in how it reads exotic ones (option injection through
// host names, remote helpers that run programs), so only the plain forms pass.
extension GitSource {
    /// Accepts https, http, ssh, git and file URLs, `user@host:path`, and an absolute path that ends in `.git`.
    /// Throws `.invalidArgument` with the reason; the text itself is never repeated, it may hold a password.
    package static func remote(parsing text: String) throws(GitError) -> GitSource {
        try checkCharacters(text)
        if let separator = text.firstRange(of: "://") {
            let scheme = text[..<separator.lowerBound].lowercased()
            let rest = text[separator.upperBound...]
            try check(scheme: scheme, rest: rest)
            return .remote(url: "\(scheme)://\(rest)")
        }
        if !text.hasPrefix("/") {
            try checkScpLike(text)
        } else if !text.hasSuffix(".git") {
            throw refusal("a path is only a remote when it ends in .git")
        }
        return .remote(url: text)
    }

    private static func checkCharacters(_ text: String) throws(GitError) {
        let scalars = text.unicodeScalars
        guard !text.isEmpty else { throw refusal("it is empty") }
        guard text.utf8.count <= 2_048 else { throw refusal("it is longer than 2048 bytes") }
        guard !scalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw refusal("it contains a control character")
        }
        guard !scalars.contains(where: \.properties.isWhitespace) else { throw refusal("it contains white space") }
        guard !text.contains("\\") else { throw refusal("it contains a backslash") }
        guard text.utf8.first != hyphen else { throw refusal("it begins with '-'") }
        let helper = text.prefix { $0.isASCIILetterOrDigit || "+-.".contains($0) }
        guard !text.dropFirst(helper.count).hasPrefix("::") else { throw refusal("remote helpers are not allowed") }
    }

    private static func check(scheme: String, rest: Substring) throws(GitError) {
        let authority = rest.prefix { !"/?#".contains($0) }
        let path = rest.dropFirst(authority.count)
        switch scheme {
        case "https", "http":
            guard !authority.contains("@") else { throw credentialsRefusal }
            try checkHostAndPort(authority)
        case "git":
            guard !authority.contains("@") else { throw refusal("git:// URLs have no user") }
            try checkHostAndPort(authority)
        case "ssh":
            try checkUserAndHost(authority)
        case "file":
            guard authority.isEmpty else { throw refusal("a file URL has no host: write file:///path") }
        default:
            throw refusal("use https, http, ssh, git or file")
        }
        guard path.hasPrefix("/"), path.contains(where: { $0 != "/" }) else { throw refusal("the path is empty") }
    }

    private static func checkUserAndHost(_ authority: Substring) throws(GitError) {
        guard let at = authority.lastIndex(of: "@") else {
            try checkHostAndPort(authority)
            return
        }
        let user = authority[..<at]
        guard !user.contains(":") else { throw credentialsRefusal }
        try check(user: user)
        try checkHostAndPort(authority[authority.index(after: at)...])
    }

    private static func checkScpLike(_ text: String) throws(GitError) {
        guard let at = text.firstIndex(of: "@"), !text[..<at].contains(where: { ":/".contains($0) }) else {
            throw refusal("write https://host/path, ssh://host/path or user@host:path")
        }
        try check(user: text[..<at])
        let (host, rest) = try splitHost(text[text.index(after: at)...])
        try check(host: host)
        guard rest.hasPrefix(":") else { throw refusal("write https://host/path, ssh://host/path or user@host:path") }
        let path = rest.dropFirst()
        guard path.contains(where: { $0 != "/" }) else { throw refusal("the path is empty") }
        guard path.utf8.first != hyphen else { throw refusal("the path begins with '-'") }
    }

    private static func check(user: Substring) throws(GitError) {
        guard !user.isEmpty, !user.hasPrefix("-"),
            user.allSatisfy({ $0.isASCIILetterOrDigit || "-_.+".contains($0) })
        else { throw refusal("the user name is not valid") }
    }

    private static func checkHostAndPort(_ text: Substring) throws(GitError) {
        let (host, rest) = try splitHost(text)
        try check(host: host)
        guard !rest.isEmpty else { return }
        let digits = rest.dropFirst()
        guard rest.hasPrefix(":"), digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = UInt16(digits), port > 0
        else { throw refusal("the port is not valid") }
    }

    /// Splits behind the host name; an IPv6 address keeps its brackets.
    private static func splitHost(_ text: Substring) throws(GitError) -> (host: Substring, rest: Substring) {
        let host: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw refusal("the host is not valid") }
            host = text[...end]
        } else {
            host = text.prefix { !":/".contains($0) }
        }
        return (host, text[host.endIndex...])
    }

    private static func check(host: Substring) throws(GitError) {
        guard !host.isEmpty else { throw refusal("the host is empty") }
        guard !host.hasPrefix("-"), !host.hasPrefix("[-") else { throw refusal("the host begins with '-'") }
        let isValid =
            host.hasPrefix("[")
            ? host.count > 2
                && host.dropFirst().dropLast().allSatisfy { $0.isASCII && ($0.isHexDigit || ":.".contains($0)) }
            : host.allSatisfy { $0.isASCIILetterOrDigit || "-_.".contains($0) }
        guard isValid, host.contains(where: \.isASCIILetterOrDigit) else {
            throw refusal("the host is not valid")
        }
    }

    /// Compared as a byte: a combining mark behind it makes it another character, but not for git.
    private static let hyphen = UInt8(ascii: "-")

    private static func refusal(_ reason: String) -> GitError {
        GitError(.invalidArgument, "the repository URL cannot be used: \(reason)")
    }

    private static var credentialsRefusal: GitError {
        refusal("the URL is stored and shown, so put credentials into a git credential helper instead")
    }
}
