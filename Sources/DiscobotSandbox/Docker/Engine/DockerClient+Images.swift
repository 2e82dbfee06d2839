// SPDX-License-Identifier: Apache-2.0

import DiscobotModel
import FoundationEssentials
package import NIOCore
import NIOHTTP1
import Synchronization

/// An image that an engine has.
struct DockerImage: Decodable, Sendable {
    struct Settings: Decodable, Sendable {
        let user: String?
        let labels: [String: String]?
        let entrypoint: [String]?
        let command: [String]?
        let volumes: [String: JSONValue]?

        private enum CodingKeys: String, CodingKey {
            case user = "User"
            case labels = "Labels"
            case entrypoint = "Entrypoint"
            case command = "Cmd"
            case volumes = "Volumes"
        }
    }

    let id: String
    let settings: Settings?

    private enum CodingKeys: String, CodingKey {
        case id = "Id"
        case settings = "Config"
    }

    func label(_ name: String) -> String? { settings?.labels?[name] }
    /// Whether its containers get a volume there, or below, of their own accord.
    func hasVolume(at path: String) -> Bool {
        settings?.volumes?.keys.contains { $0 == path || $0.hasPrefix(path + "/") } == true
    }
    /// Whether it says what its containers run.
    var hasProgram: Bool { !(settings?.entrypoint ?? []).isEmpty || !(settings?.command ?? []).isEmpty }
}

/// An image as it is listed.
struct DockerImageSummary: Decodable, Sendable {
    let id: String
    let labels: [String: String]?

    private enum CodingKeys: String, CodingKey {
        case id = "Id"
        case labels = "Labels"
    }
}

/// A line of an answer that tells how far a pull or import has got.
private struct PullLine: Decodable {
    struct Detail: Decodable {
        let current: Int64?
        let total: Int64?
    }

    struct Failure: Decodable {
        let message: String?
    }

    let id: String?
    let status: String?
    let progressDetail: Detail?
    let error: String?
    let errorDetail: Failure?
}

/// How far a pull has got, over all layers that the engine has told of.
package struct PullProgress: Sendable, Equatable {
    private var layers: [String: (done: Int64, total: Int64)] = [:]

    package init() {}

    package var bytesDone: Int64 { layers.values.reduce(0) { $0 + $1.done } }
    package var bytesTotal: Int64 { layers.values.reduce(0) { $0 + $1.total } }

    package static func == (left: PullProgress, right: PullProgress) -> Bool {
        left.bytesDone == right.bytesDone && left.bytesTotal == right.bytesTotal
    }

    /// Takes note of a line; throws `DockerError` when that says that the pull has failed.
    private mutating func note(_ line: PullLine) throws {
        if let message = line.errorDetail?.message ?? line.error { throw DockerError(.failed, message) }
        guard let layer = line.id, layers.count < 1000 || layers[layer] != nil else { return }
        switch line.status {
        case "Downloading":
            guard let total = line.progressDetail?.total, total > 0 else { return }
            layers[layer] = (min(line.progressDetail?.current ?? 0, total), total)
        case "Download complete", "Pull complete":
            if let known = layers[layer] { layers[layer] = (known.total, known.total) }
        default: break
        }
    }

    /// As `note`, of a line as the engine sent it.
    mutating func read(_ line: ByteBuffer) throws {
        try note(try DockerClient.decode(line))
    }
}

extension DockerClient {
    /// Nil when the engine does not have it.
    func image(_ name: String) async throws -> DockerImage? {
        do {
            return try await value(.GET, "/images/\(name)/json")
        } catch let error as DockerError where error.isNotFound {
            return nil
        }
    }

    /// Fetches an image from its registry; a failure that comes in the middle is thrown as well, and that nothing has come
    /// for `silence`.
    func pull(
        _ image: ImageReference,
        credentials: RegistryCredentials? = nil,
        within limit: Duration = .seconds(6 * 3600),
        silence: Duration = .seconds(300),
        progress: @escaping @Sendable (PullProgress) async -> Void = { _ in }
    ) async throws {
        let headers = credentials.map { [("X-Registry-Auth", $0.header)] } ?? []
        let query = [("fromImage", image.name), ("tag", image.tag)]
        let state = Mutex(PullProgress())
        let sign = LifeSign()
        try await sign.watch(within: silence) {
            try await self.lines(.POST, "/images/create", query: query, headers: headers, within: limit) { line in
                sign.give()
                let news: PullProgress? = try state.withLock { state in
                    let before = state
                    try state.read(line)
                    return state == before ? nil : state
                }
                if let news { await progress(news) }
            }
        }
    }

    /// Makes an image of a file system.
    ///
    /// - Parameter changes: as in a Dockerfile, for example `ENV A=b`.
    package func importImage(
        _ tar: AsyncThrowingStream<ByteBuffer, any Error>,
        as image: ImageReference,
        changes: [String] = []
    ) async throws {
        // Podman takes no notice of a tag that stands by itself.
        let query = [("fromSrc", "-"), ("repo", image.description)] + changes.map { ("changes", $0) }
        try await lines(.POST, "/images/create", query: query, body: .stream(tar), within: .seconds(600)) { line in
            var state = PullProgress()
            try state.read(line)
        }
    }

    /// Makes an image of what a container has, with its settings and labels.
    ///
    /// - Parameter labels: besides the container's and others than those; they have no spaces.
    func commit(_ container: String, as image: ImageReference, labels: [String: String]) async throws {
        let query =
            [("container", container), ("repo", image.name), ("tag", image.tag), ("pause", "0")]
            + labels.map { ("changes", "LABEL \($0)=\($1)") }
        // How long it takes is a matter of the engine's storage.
        // Podman insists on a body.
        _ = try await call(.POST, "/commit", query: query, body: .json(.object([])), within: .seconds(600))
    }

    /// All with these labels, those without a name as well.
    func images(labels: [String]) async throws -> [DockerImageSummary] {
        // Podman finds none when it is asked for several labels.
        let query = [("filters", Self.filters(["label": Array(labels.prefix(1))]))]
        let found: [DockerImageSummary] = try await value(.GET, "/images/json", query: query, upTo: Self.maximumList)
        return found.filter { Self.has($0.labels, labels) }
    }

    /// One that is not there is removed already, and one that a container has or that has another name stays. So does that
    /// which it was made of; Podman removes it when it has no name.
    func removeUnusedImage(_ id: String) async throws {
        do {
            _ = try await call(.DELETE, "/images/\(id)", query: [("noprune", "1")], within: .seconds(120))
        } catch let error as DockerError where error.isNotFound || error.isConflict {
            return
        }
    }

    /// One that is not there is removed already.
    package func removeImage(_ image: ImageReference) async throws {
        do {
            _ = try await call(.DELETE, "/images/\(image)", query: [("force", "1")], within: .seconds(120))
        } catch let error as DockerError where error.isNotFound {
            return
        }
    }
}

/// The name of an image: registry, repository, and tag or digest.
package struct ImageReference: Sendable, Equatable, CustomStringConvertible {
    /// With its registry, where one is named.
    let name: String
    /// Or the digest.
    let tag: String

    /// Nil for what is no name.
    package init?(_ text: String) {
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@".utf8)
        guard !text.isEmpty, text.utf8.count <= 512, text.utf8.allSatisfy({ plain.contains($0) }),
            text.first != "/", text.first != "-", !text.contains("//"), !text.contains("..")
        else { return nil }
        if let at = text.firstIndex(of: "@") {
            name = String(text[..<at])
            tag = String(text[text.index(after: at)...])
        } else if let colon = text.lastIndex(of: ":"), !text[colon...].contains("/") {
            name = String(text[..<colon])
            tag = String(text[text.index(after: colon)...])
        } else {
            name = text
            tag = "latest"
        }
        guard !name.isEmpty, !tag.isEmpty else { return nil }
    }

    /// One that only ever exists where it was made.
    init(local name: String, tag: String) {
        self.name = Self.localPrefix + name
        self.tag = tag
    }

    private static let localPrefix = "discobot-local/"

    package var description: String { name + (tag.contains(":") ? "@" : ":") + tag }

    /// Where it comes from; `docker.io` when none is named.
    var registry: String {
        let first = name.split(separator: "/").first.map { String($0) } ?? ""
        let isRegistry = name.contains("/") && (first.contains(".") || first.contains(":") || first == "localhost")
        return isRegistry ? first : "docker.io"
    }

    /// Whether it only ever exists where it was built.
    var isLocal: Bool { name.hasPrefix(Self.localPrefix) || name == "sha256" }
}
