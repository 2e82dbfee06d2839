// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import NIOCore
import NIOHTTP1

/// A container as the engine describes it.
struct DockerContainer: Decodable, Sendable {
    struct State: Decodable, Sendable, Equatable {
        let status: String
        let exitCode: Int
        let isOutOfMemory: Bool
        let error: String?
        let startedAt: String?
        let finishedAt: String?

        private enum CodingKeys: String, CodingKey {
            case status = "Status"
            case exitCode = "ExitCode"
            case isOutOfMemory = "OOMKilled"
            case error = "Error"
            case startedAt = "StartedAt"
            case finishedAt = "FinishedAt"
        }
    }

    struct Settings: Decodable, Sendable {
        let image: String
        let labels: [String: String]?

        private enum CodingKeys: String, CodingKey {
            case image = "Image"
            case labels = "Labels"
        }
    }

    struct Network: Decodable, Sendable {
        struct Binding: Decodable, Sendable {
            let address: String?
            let port: String

            private enum CodingKeys: String, CodingKey {
                case address = "HostIp"
                case port = "HostPort"
            }
        }

        /// What is published of each port, by names as `80/tcp`.
        let ports: [String: [Binding]?]?

        private enum CodingKeys: String, CodingKey {
            case ports = "Ports"
        }
    }

    let id: String
    let created: String
    let state: State
    let settings: Settings
    let network: Network?

    private enum CodingKeys: String, CodingKey {
        case id = "Id"
        case created = "Created"
        case state = "State"
        case settings = "Config"
        case network = "NetworkSettings"
    }

    func label(_ name: String) -> String? { settings.labels?[name] }
}

/// A container as it is listed.
struct DockerContainerSummary: Decodable, Sendable {
    let id: String
    /// The image's id, whatever its name means now.
    let image: String
    let status: String
    let labels: [String: String]?

    private enum CodingKeys: String, CodingKey {
        case id = "Id"
        case image = "ImageID"
        case status = "State"
        case labels = "Labels"
    }
}

extension DockerClient {
    /// Starting waits for everything that is mounted, on a busy machine for many others as well.
    private static let patience: Duration = .seconds(120)

    private struct Created: Decodable, Sendable {
        let id: String

        private enum CodingKeys: String, CodingKey {
            case id = "Id"
        }
    }

    /// Returns its id.
    func createContainer(_ name: String, _ settings: JSONValue) async throws -> String {
        let body = try await call(
            .POST,
            "/containers/create",
            query: [("name", name)],
            body: .json(settings),
            within: Self.patience
        )
        let created: Created = try Self.decode(body)
        return created.id
    }

    /// Nothing happens to one that runs.
    func startContainer(_ name: String) async throws {
        try await change(.POST, "/containers/\(name)/start")
    }

    /// Asks it to end, and kills it when that takes more than `seconds`; nothing happens to one that does not run.
    func stopContainer(_ name: String, seconds: Int) async throws {
        try await change(.POST, "/containers/\(name)/stop", query: [("t", String(seconds))])
    }

    func unpauseContainer(_ name: String) async throws {
        try await change(.POST, "/containers/\(name)/unpause")
    }

    /// Kills and removes it with its anonymous volumes; one that is not there is removed already.
    func removeContainer(_ name: String) async throws {
        do {
            try await change(.DELETE, "/containers/\(name)", query: [("force", "1"), ("v", "1")])
        } catch let error as DockerError where error.isNotFound {
            return
        } catch let error as DockerError where error.isConflict {
            // Somebody else removes it.
            try await waitForRemoval(of: name)
        }
    }

    private func waitForRemoval(of name: String) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try await container(name) != nil {
            guard ContinuousClock.now < deadline else {
                throw DockerError(.timedOut, "the container \(name) cannot be removed")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// What an engine has done already, it answers with 304.
    private func change(_ method: HTTPMethod, _ path: String, query: [(String, String)] = []) async throws {
        do {
            _ = try await call(method, path, query: query, within: Self.patience)
        } catch let error as DockerError where error.code == .refused(status: 304) {
            return
        }
    }

    /// Nil when there is none.
    func container(_ name: String) async throws -> DockerContainer? {
        do {
            return try await value(.GET, "/containers/\(name)/json")
        } catch let error as DockerError where error.isNotFound {
            return nil
        }
    }

    /// All with these labels, whether they run or not.
    func containers(labels: [String]) async throws -> [DockerContainerSummary] {
        let query = [("all", "1"), ("filters", Self.filters(["label": labels]))]
        let found: [DockerContainerSummary] = try await value(
            .GET,
            "/containers/json",
            query: query,
            upTo: Self.maximumList
        )
        return found.filter { Self.has($0.labels, labels) }
    }

    /// Writes a tar's files below a directory of a container, which need not have been started.
    func extract(_ tar: ByteBuffer, to path: String, of name: String) async throws {
        _ = try await call(.PUT, "/containers/\(name)/archive", query: [("path", path)], body: .tar(tar))
    }

    /// A file or directory of a container as a tar; nil when there is none.
    func archive(_ path: String, of name: String) async throws -> ByteBuffer? {
        do {
            return try await call(.GET, "/containers/\(name)/archive", query: [("path", path)])
        } catch let error as DockerError where error.isNotFound {
            return nil
        }
    }

    /// The last lines that it has printed.
    func logs(_ name: String, lines: Int) async throws -> String {
        let query = [("stdout", "1"), ("stderr", "1"), ("tail", String(lines))]
        var frames = try await call(.GET, "/containers/\(name)/logs", query: query)
        var text = ""
        // Without a terminal each piece has a head: stream, three zeros, length.
        while let head = frames.readInteger(as: UInt32.self), let length = frames.readInteger(as: UInt32.self) {
            guard head & 0x00FF_FFFF == 0, let piece = frames.readString(length: Int(length)) else { break }
            text += piece
        }
        return text
    }

    /// Whether something has all these labels, each as `name=value`: for some engines one of those that are asked for is
    /// enough.
    static func has(_ labels: [String: String]?, _ wanted: [String]) -> Bool {
        wanted.allSatisfy { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 && labels?[String(parts[0])].map { $0 == parts[1] } == true
        }
    }

    /// A filter as the engine wants it: `{"label":["a"]}`.
    static func filters(_ filters: [String: [String]]) -> String {
        let fields = filters.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.list($0.value.map { .string($0) })) }
        return JSONValue.object(fields).compact
    }
}
