// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
import Logging

/// What opens a registry.
struct RegistryCredentials: Sendable, Equatable {
    let user: String
    let password: String
    /// In place of a password, where the registry has given one.
    let identityToken: String?
    let server: String

    /// The value of `X-Registry-Auth`: JSON in base64 for URLs.
    var header: String {
        let fields: [(String, JSONValue)] =
            if let identityToken {
                [("identitytoken", .string(identityToken))]
            } else {
                [("username", .string(user)), ("password", .string(password))]
            }
        let text = JSONValue.object(fields + [("serveraddress", .string(server))]).compact
        return Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }
}

/// The user's settings of Docker's own client, as far as they open registries.
struct DockerSettings: Decodable, Sendable {
    struct Entry: Decodable, Sendable {
        let auth: String?
        let identitytoken: String?
    }

    var auths: [String: Entry]?
    var credsStore: String?
    var credHelpers: [String: String]?

    /// Of the directory that DOCKER_CONFIG names; nil when there are none, or they cannot be read.
    init?(directory: String) {
        guard let text = try? PrivateFile.read(directory + "/config.json", followsLinks: true) else { return nil }
        self.init(json: text)
    }

    init?(json: String) {
        guard let settings = try? JSONDecoder().decode(Self.self, from: Data(json.utf8)) else { return nil }
        self = settings
    }

    /// Nil when the user has none for that registry, or the program that keeps them fails. Throws only when cancelled.
    ///
    /// - Parameter path: where such programs are.
    func credentials(
        for registry: String,
        in path: String = LocalCommand.path,
        logger: Logger
    ) async throws -> RegistryCredentials? {
        let names = Self.names(of: registry)
        for name in names {
            guard let helper = credHelpers?[name] ?? credsStore else { continue }
            if let found = try await Self.ask(helper, name, in: path, logger) { return found }
        }
        for name in names {
            guard let entry = auths?[name] else { continue }
            if let found = Self.credentials(entry, name) { return found }
        }
        return nil
    }

    /// Docker Hub's entry has a name of its own.
    private static func names(of registry: String) -> [String] {
        if registry == "docker.io" { return ["https://index.docker.io/v1/", "index.docker.io", "docker.io"] }
        return [registry, "https://\(registry)", "http://\(registry)"]
    }

    private static func credentials(_ entry: Entry, _ server: String) -> RegistryCredentials? {
        if let token = entry.identitytoken, !token.isEmpty {
            return RegistryCredentials(user: "", password: "", identityToken: token, server: server)
        }
        guard let auth = entry.auth, let data = Data(base64Encoded: auth) else { return nil }
        let parts = String(decoding: data, as: UTF8.self).split(separator: ":", maxSplits: 1).map { String($0) }
        guard parts.count == 2 else { return nil }
        return RegistryCredentials(user: parts[0], password: parts[1], identityToken: nil, server: server)
    }

    /// By which such programs find the user's keyring, or ask for what opens it.
    private static let variables = [
        "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "GNUPGHOME", "DISPLAY", "WAYLAND_DISPLAY",
        "PASSWORD_STORE_DIR",
    ]

    /// Asks a program that keeps credentials, by Docker's protocol.
    private static func ask(
        _ helper: String,
        _ server: String,
        in path: String,
        _ logger: Logger
    ) async throws -> RegistryCredentials? {
        struct Answer: Decodable {
            let user: String
            let secret: String

            private enum CodingKeys: String, CodingKey {
                case user = "Username"
                case secret = "Secret"
            }
        }
        guard !helper.contains("/") else { return nil }
        let result = try await LocalCommand.result(
            of: "docker-credential-\(helper)",
            ["get"],
            input: server,
            keeping: variables,
            in: path,
            within: .seconds(30)
        )
        // That there are none is no failure.
        if let result, !result.isSuccess, result.text.contains("credentials not found") { return nil }
        guard let result, result.isSuccess,
            let answer = try? JSONDecoder().decode(Answer.self, from: Data(result.text.utf8))
        else {
            // Not what it has printed, which may be secret.
            logger.warning(
                "the program that keeps credentials of registries is missing or fails",
                metadata: ["program": "docker-credential-\(helper)", "registry": "\(server)"]
            )
            return nil
        }
        let isToken = answer.user == "<token>"
        return RegistryCredentials(
            user: answer.user,
            password: answer.secret,
            identityToken: isToken ? answer.secret : nil,
            server: server
        )
    }
}
