// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// A Docker Engine, asked for no more than a container of an image.
struct BareEngine: Sendable {
    /// Containers that nobody else counts as his own.
    private static let prefix = "discobot-bench-"

    private let base: String
    private let image: String
    private let network: String
    /// For the whole run: one that is not shut down must not go.
    private static let http = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// - Parameters:
    ///   - host: as in DOCKER_HOST, a socket or TCP without TLS.
    ///   - network: as the workspace says it.
    init(host: String, image: String, network: String) {
        if host.hasPrefix("tcp://") {
            base = "http://" + host.dropFirst("tcp://".count)
        } else {
            let path = host.isEmpty ? "/var/run/docker.sock" : String(host.trimmingPrefix("unix://"))
            base = "http+unix://" + path.replacing("/", with: "%2F")
        }
        self.image = image
        self.network = network == "internet" ? "bridge" : network
    }

    /// Makes a container that does nothing; returns its name.
    func create() async throws -> String {
        let name = Self.prefix + UUID().uuidString.lowercased()
        let settings: [String: Any] = [
            "Image": image, "Entrypoint": ["sleep"], "Cmd": ["1000"], "HostConfig": ["NetworkMode": network],
        ]
        try await send(.POST, "/containers/create?name=\(name)", try JSONSerialization.data(withJSONObject: settings))
        return name
    }

    func start(_ name: String) async throws {
        try await send(.POST, "/containers/\(name)/start")
    }

    /// Kills it, as it would not listen.
    func stop(_ name: String) async throws {
        try await send(.POST, "/containers/\(name)/stop?t=0")
    }

    func remove(_ name: String) async throws {
        try await send(.DELETE, "/containers/\(name)?force=1&v=1")
    }

    func isRunning(_ name: String) async throws -> Bool {
        let filters = #"{"name":["^/\#(name)$"],"status":["running"]}"#
        let query = filters.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let containers = try await send(.GET, "/containers/json?filters=\(query)")
        return try !JSONDecoder().decode([Anything].self, from: containers).isEmpty
    }

    /// How many containers, volumes and networks there are.
    func counts() async throws -> [String: Int] {
        let containers = try await send(.GET, "/containers/json?all=1")
        let networks = try await send(.GET, "/networks")
        let volumes = try await send(.GET, "/volumes")
        return [
            "containers": try JSONDecoder().decode([Anything].self, from: containers).count,
            "networks": try JSONDecoder().decode([Anything].self, from: networks).count,
            // With warnings beside it, and null for none.
            "volumes": try JSONDecoder().decode([String: [Anything]?].self, from: volumes)["Volumes"]??.count ?? 0,
        ]
    }

    private struct Anything: Decodable {}

    @discardableResult
    private func send(_ method: HTTPMethod, _ path: String, _ body: Data? = nil) async throws -> Data {
        var request = HTTPClientRequest(url: base + path)
        request.method = method
        // A socket's path is no valid Host header, and the engine insists on one.
        request.headers.replaceOrAdd(name: "Host", value: "docker")
        request.headers.add(name: "Content-Type", value: "application/json")
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let response = try await Self.http.execute(request, timeout: .seconds(120))
        let answer = try await response.body.collect(upTo: 16 << 20)
        guard (200..<400).contains(response.status.code) else {
            throw ValidationError("the engine answered \(response.status): \(String(buffer: answer))")
        }
        return Data(answer.readableBytesView)
    }
}
