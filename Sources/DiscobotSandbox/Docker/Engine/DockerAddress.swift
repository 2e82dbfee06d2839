// SPDX-License-Identifier: Apache-2.0

/// Where a Docker Engine answers.
package enum DockerAddress: Sendable, Equatable {
    case unix(path: String)
    /// - Parameter certificates: the directory with `ca.pem`, `cert.pem` and `key.pem`; nil for no TLS.
    case tcp(host: String, port: Int, certificates: String?, isVerified: Bool)

    package static let standard = DockerAddress.unix(path: "/var/run/docker.sock")

    /// Reads the settings as Docker's own client does. Nil for what this server cannot connect to, such as `ssh://`.
    ///
    /// - Parameters:
    ///   - host: as in DOCKER_HOST; empty for the usual socket.
    ///   - certificates: as in DOCKER_CERT_PATH.
    ///   - isVerified: as in DOCKER_TLS_VERIFY, which alone turns TLS on.
    package init?(host: String, certificates: String? = nil, isVerified: Bool = false) {
        guard !host.isEmpty else {
            self = .standard
            return
        }
        let parts = host.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts.count, parts.first) {
        case (1, _) where host.hasPrefix("/"): self = .unix(path: host)
        case (2, "unix"): self = .unix(path: String(parts[1]))
        case (2, "tcp"), (2, "http"), (2, "https"):
            let isEncrypted = parts[0] == "https" || certificates != nil || isVerified
            guard let (name, port) = Self.endpoint(parts[1], port: isEncrypted ? 2376 : 2375) else { return nil }
            let directory = isEncrypted ? certificates ?? "" : nil
            self = .tcp(host: name, port: port, certificates: directory, isVerified: isVerified)
        default: return nil
        }
    }

    /// Splits `host:port`, where the host may be an IPv6 address in brackets.
    private static func endpoint(_ text: Substring, port standard: Int) -> (host: String, port: Int)? {
        let text = text.prefix { $0 != "/" }
        guard !text.isEmpty else { return nil }
        guard let colon = text.lastIndex(of: ":"), text.last != "]" else { return (String(text), standard) }
        guard let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port) else { return nil }
        return colon == text.startIndex ? nil : (String(text[..<colon]), port)
    }

    var baseURL: String {
        switch self {
        case .unix(let path): "http+unix://\(path.percentEncoded)"
        case .tcp(let host, let port, let certificates, _):
            "\(certificates == nil ? "http" : "https")://\(host):\(port)"
        }
    }

    /// For messages.
    package var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(let host, let port, _, _): "\(host):\(port)"
        }
    }
}
