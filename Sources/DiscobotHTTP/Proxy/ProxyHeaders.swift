// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes

/// Which headers pass between a browser and a service.
package struct ProxyHeaders: Sendable {
    /// Whether the service's pages share their host with others, so that nothing a browser keeps by host may pass.
    private let sharesHost: Bool
    /// What begins the path of all that the service has; empty where it has the whole origin.
    private let prefix: String
    private let passesAuthorization: Bool

    /// - Parameters:
    ///   - prefix: empty for a service with an origin of its own.
    ///   - passesAuthorization: false where that is meant for whoever passes the request on.
    package init(prefix: String = "", passesAuthorization: Bool = true) {
        sharesHost = !prefix.isEmpty
        self.prefix = prefix
        self.passesAuthorization = passesAuthorization && prefix.isEmpty
    }

    /// RFC 9110 §7.6.1: about one connection.
    private static let ofConnection: Set = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings", "content-length", "host", "expect",
    ]

    /// What a service is sent of a request, without what says how long the body is.
    ///
    /// - Parameter client: where the request comes from.
    package func request(_ fields: HTTPFields, authority: String, path: String, client: String?) -> [AnswerParser.Field]
    {
        let dropped = Self.ofConnection.union(Self.named(in: fields[values: .connection]))
        var passed: [AnswerParser.Field] = []
        var forwarded: [String] = []
        var scheme = "http"
        for field in fields {
            let name = field.name.canonicalName
            switch name {
            case _ where dropped.contains(name) || name.hasPrefix("x-discobot-"): continue
            case "forwarded", "x-forwarded-host", "x-forwarded-path", "x-forwarded-prefix": continue
            case "x-forwarded-for": forwarded.append(field.value)
            case "x-forwarded-proto": scheme = field.value.lowercased() == "https" ? "https" : "http"
            case "cookie":
                if let cookies = cookies(field.value) { passed.append(.init(field.name.rawName, cookies)) }
            case "authorization" where !passesAuthorization: continue
            default: passed.append(.init(field.name.rawName, field.value))
            }
        }
        passed.append(.init("X-Forwarded-For", (forwarded + [client ?? "unknown"]).joined(separator: ", ")))
        passed.append(.init("X-Forwarded-Proto", scheme))
        passed.append(.init("X-Forwarded-Host", authority))
        passed.append(.init("X-Forwarded-Path", path))
        if sharesHost { passed.append(.init("X-Forwarded-Prefix", prefix)) }
        return passed
    }

    /// What a browser is sent of an answer.
    package func response(_ fields: [AnswerParser.Field]) -> HTTPFields {
        let connection = fields.filter { $0.name.lowercased() == "connection" }.map(\.value)
        let dropped = Self.ofConnection.union(Self.named(in: connection)).union(["alt-svc", "x-discobot-scheme"])
        var passed = HTTPFields()
        for field in fields {
            let lowered = field.name.lowercased()
            guard !dropped.contains(lowered), !Self.ofOthers.contains(lowered), let name = HTTPField.Name(field.name)
            else { continue }
            if sharesHost, Self.ofOrigin.contains(lowered) || lowered.hasPrefix("access-control-") { continue }
            switch lowered {
            case "set-cookie":
                if let cookie = setCookie(field.value) { passed.append(HTTPField(name: name, value: cookie)) }
            case "location" where sharesHost && field.value.hasPrefix("/") && !field.value.hasPrefix("//"):
                passed.append(HTTPField(name: name, value: prefix + field.value))
            default: passed.append(HTTPField(name: name, value: field.value))
            }
        }
        if sharesHost { isolate(&passed) }
        return passed
    }

    /// What reaches beyond the origin that says it: to all hosts of one domain, or all ports of one host. A service has no
    /// say in those; `Clear-Site-Data` would log its reader out of this server.
    private static let ofOthers: Set = [
        "clear-site-data", "strict-transport-security", "public-key-pins", "secure-session-registration",
        "sec-session-registration",
    ]

    /// What browsers keep for an origin. A dialog for a password would be one of the origin, too.
    private static let ofOrigin: Set = [
        "service-worker-allowed", "nel", "report-to", "reporting-endpoints", "origin-agent-cluster", "set-login",
        "www-authenticate", "accept-ch",
    ]

    /// Gives each page an origin that is like no other's, so that it reads neither what other services answer nor what they
    /// have stored; its own requests are then foreign ones, which the address, being secret, allows.
    private func isolate(_ fields: inout HTTPFields) {
        fields.append(HTTPField(name: .contentSecurityPolicy, value: Self.sandbox))
        fields[.accessControlAllowOrigin] = "*"
        if let methods = HTTPField.Name("Access-Control-Allow-Methods") { fields[methods] = "*" }
        if let headers = HTTPField.Name("Access-Control-Allow-Headers") { fields[headers] = "*" }
    }

    private static let sandbox = "sandbox allow-scripts allow-forms allow-modals allow-popups allow-downloads"

    private static func named(in connection: [String]) -> Set<String> {
        Set(connection.flatMap { $0.split(separator: ",") }.map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() })
    }

    /// Cookies of this server are not the services' business.
    private static func isOwn(_ name: some StringProtocol) -> Bool {
        name.drop { $0 == " " || $0 == "\t" }.lowercased().hasPrefix("discobot_")
    }

    private func cookies(_ header: String) -> String? {
        guard !sharesHost else { return nil }
        let kept = header.split(separator: ";").filter { !Self.isOwn($0) }
        return kept.isEmpty ? nil : kept.joined(separator: ";").drop { $0 == " " }.description
    }

    /// For the service's own host only, whatever it says.
    private func setCookie(_ header: String) -> String? {
        guard !sharesHost, !Self.isOwn(header) else { return nil }
        let parts = header.split(separator: ";", omittingEmptySubsequences: false)
        return parts.enumerated().filter { index, part in
            let name = part.prefix { $0 != "=" }.filter { $0 != " " && $0 != "\t" }.lowercased()
            return index == 0 || name != "domain"
        }
        .map(\.element).joined(separator: ";")
    }
}
